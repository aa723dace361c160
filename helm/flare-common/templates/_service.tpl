{{- /*
Headless Service for the telemetry port of a parent and, with job pods, for the parent itself. It includes a pod that is not
ready, because metrics and jobs need it then, too.

    {{ include "flare-common.headless" . }}
*/}}

{{- define "flare-common.headless" -}}
{{- $role := include "flare-common.role" . -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "flare-common.metadata" (list . (include "flare-common.headlessName" .) $role) | nindent 2 }}
spec:
  clusterIP: None
  publishNotReadyAddresses: true
  selector:
    {{- include "flare-common.selectorLabels" (list . $role) | nindent 4 }}
  ports:
    - {name: telemetry, port: {{ .Values.ports.telemetry }}, targetPort: telemetry, appProtocol: http}
    {{- if include "flare-common.launchesPods" . }}
    - {name: parent, port: {{ .Values.ports.parent }}, targetPort: parent}
    {{- end }}
{{- end }}
