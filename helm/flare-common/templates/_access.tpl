{{- /*
Who the pod is to Kubernetes: nobody, unless it launches job pods.

    {{ include "flare-common.serviceAccount" . }}
    {{ include "flare-common.roleAndBinding" . }}
*/}}

{{- define "flare-common.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "flare-common.metadata" (list . (include "flare-common.serviceAccountName" .) (include "flare-common.role" .) .Values.serviceAccount.annotations) | nindent 2 }}
# The pod's own setting decides: only a parent that launches job pods gets a token, and job pods never do.
automountServiceAccountToken: false
{{- end }}
{{- end }}

{{- define "flare-common.launcherRole" -}}
{{- if and (include "flare-common.launchesPods" .) .Values.rbac.create -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  {{- include "flare-common.metadata" (list . (printf "%s-launcher" (include "flare-common.fullname" .)) (include "flare-common.role" .)) | nindent 2 }}
rules:
  # Starts job pods, follows them, removes them.
  - apiGroups: [""]
    resources: [pods]
    verbs: [create, get, list, watch, delete]
  # Says why a job pod does not start.
  - apiGroups: [""]
    resources: [events]
    verbs: [list, watch]
  # Hands a job pod its credentials and takes them away again. It cannot read a Secret.
  - apiGroups: [""]
    resources: [secrets]
    verbs: [create, update, patch, delete]
  # Makes this release the owner of its job pods, so that they go with it: an owner is named by its uid.
  - apiGroups: [""]
    resources: [configmaps]
    resourceNames: [{{ include "flare-common.fullname" . }}-jobs]
    verbs: [get]
{{- end }}
{{- end }}

{{- define "flare-common.launcherRoleBinding" -}}
{{- if and (include "flare-common.launchesPods" .) .Values.rbac.create -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  {{- include "flare-common.metadata" (list . (printf "%s-launcher" (include "flare-common.fullname" .)) (include "flare-common.role" .)) | nindent 2 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {{ include "flare-common.fullname" . }}-launcher
subjects:
  - kind: ServiceAccount
    name: {{ include "flare-common.serviceAccountName" . }}
    namespace: {{ .Release.Namespace }}
{{- end }}
{{- end }}
