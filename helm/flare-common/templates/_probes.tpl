{{- /*
Probes on the telemetry port. Liveness covers only faults that a restart repairs; readiness covers the ability to run jobs.

    {{- include "flare-common.probes" . | nindent 4 }}
*/}}

{{- define "flare-common.probes" -}}
startupProbe:
  httpGet: {path: /healthz, port: telemetry}
  {{- toYaml .Values.startupProbe | nindent 2 }}
livenessProbe:
  httpGet: {path: /healthz, port: telemetry}
  {{- toYaml .Values.livenessProbe | nindent 2 }}
readinessProbe:
  httpGet: {path: /readyz, port: telemetry}
  {{- toYaml .Values.readinessProbe | nindent 2 }}
{{- end }}
