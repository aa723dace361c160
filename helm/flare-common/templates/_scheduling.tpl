{{- /*
Scheduling of a pod. SETTINGS is .Values for the parent and .Values.jobPods for job pods; both have these keys.

    {{- include "flare-common.scheduling" SETTINGS | nindent 6 }}
*/}}

{{- define "flare-common.scheduling" -}}
{{- $settings := . }}
{{- range $key := list "priorityClassName" "schedulerName" "runtimeClassName" "nodeSelector" "affinity" "tolerations" "topologySpreadConstraints" }}
{{- with get $settings $key }}
{{ $key }}: {{- if kindIs "string" . }} {{ . }}{{ else }}{{ toYaml . | nindent 2 }}{{ end }}
{{- end }}
{{- end }}
{{- end }}
