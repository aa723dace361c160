{{- /*
StatefulSet with one replica. Two processes with the same kit evict each other, and only a StatefulSet guarantees at most one pod.
`Parallel` allows an upgrade or rollback to replace a pod that never became ready.

    {{ include "flare-common.statefulset" . }}
*/}}

{{- define "flare-common.statefulset" -}}
{{- $role := include "flare-common.role" . -}}
apiVersion: apps/v1
kind: StatefulSet
metadata:
  {{- include "flare-common.metadata" (list . (include "flare-common.fullname" .) $role .Values.annotations) | nindent 2 }}
spec:
  replicas: 1
  podManagementPolicy: Parallel
  serviceName: {{ include "flare-common.headlessName" . }}
  selector:
    matchLabels:
      {{- include "flare-common.selectorLabels" (list . $role) | nindent 6 }}
  template:
    {{- include "flare-common.pod" . | nindent 4 }}
  {{- with include "flare-common.workspace.claim" . | trim }}{{ . | nindent 2 }}{{ end }}
{{- end }}
