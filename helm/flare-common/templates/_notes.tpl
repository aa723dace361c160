{{- /*
Notes that helm prints after an install: the next commands.

    {{ include "flare-common.notes" . }}
*/}}

{{- define "flare-common.notes" -}}
{{- $name := include "flare-common.fullname" . -}}
{{ .Values.site.name }} ({{ include "flare-common.role" . }}) starts as the pod {{ $name }}-0. Wait until it is ready:

    kubectl -n {{ .Release.Namespace }} rollout status statefulset/{{ $name }} --timeout=5m

Then verify it ({{ ternary "it accepts jobs, and its certificate is the federation's" "it is registered with the server" (eq (include "flare-common.role" .) "server") }}):

    helm test {{ .Release.Name }} -n {{ .Release.Namespace }}

Its health (prints ready, or the reason why not; exit code 0 or 1):

    kubectl -n {{ .Release.Namespace }} exec {{ $name }}-0 -- python -m fl_app.telemetry.probe

If it does not become ready, find the reason in the pod:

    kubectl -n {{ .Release.Namespace }} describe pod {{ $name }}-0
    kubectl -n {{ .Release.Namespace }} logs {{ $name }}-0
{{- if eq .Values.persistence.whenDeleted "Retain" }}

`helm uninstall` keeps the volume workspace-{{ $name }}-0.
{{- end }}
{{- end }}
