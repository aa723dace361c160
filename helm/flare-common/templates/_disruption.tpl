{{- /*
PodDisruptionBudget of the parent. A pod that is not ready never blocks a drain.

    {{ include "flare-common.podDisruptionBudget" . }}
*/}}

{{- define "flare-common.podDisruptionBudget" -}}
{{- if .Values.podDisruptionBudget.enabled -}}
{{- $role := include "flare-common.role" . -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "flare-common.metadata" (list . (include "flare-common.fullname" .) $role) | nindent 2 }}
spec:
  maxUnavailable: {{ .Values.podDisruptionBudget.maxUnavailable }}
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "flare-common.selectorLabels" (list . $role) | nindent 6 }}
{{- end }}
{{- end }}
