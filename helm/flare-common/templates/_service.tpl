{{- /*
The address inside the cluster of a parent's telemetry and, for job pods, of the parent itself. It names the pod before it is
ready and while it is not, since that is when its metrics and its jobs need it most.

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
