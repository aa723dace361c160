{{- /*
ServiceAccount and Role of the pod. Only a parent that launches job pods gets a token and a Role.

    {{ include "flare-common.serviceAccount" . }}
    {{ include "flare-common.roleAndBinding" . }}
*/}}

{{- define "flare-common.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "flare-common.metadata" (list . (include "flare-common.serviceAccountName" .) (include "flare-common.role" .) .Values.serviceAccount.annotations) | nindent 2 }}
# The pod spec overrides this: only a parent that launches job pods gets a token; job pods never do.
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
  # Start, watch and delete job pods.
  - apiGroups: [""]
    resources: [pods]
    verbs: [create, get, list, watch, delete]
  # Read why a job pod does not start.
  - apiGroups: [""]
    resources: [events]
    verbs: [list, watch]
  # Create and delete the Secret with the credentials of a job pod. Reading Secrets is not allowed.
  - apiGroups: [""]
    resources: [secrets]
    verbs: [create, update, patch, delete]
  # Set this release as the owner of its job pods, so that they are deleted with it: an owner is identified by its uid.
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
