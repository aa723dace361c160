{{- /*
Names of the objects of a release. A release is one participant: its objects bear the name of the release.

    metadata:
      name: {{ include "flare-common.fullname" . }}
*/}}

{{- define "flare-common.name" -}}
{{- .Values.nameOverride | default .Chart.Name }}
{{- end }}

{{- /* At most 52 characters: the StatefulSet name and a revision hash must fit into a label (63). Services require a leading letter. */}}
{{- define "flare-common.fullname" -}}
{{- $name := .Values.fullnameOverride | default (.Release.Name | replace "." "-") }}
{{- if regexMatch "^[0-9]" $name }}{{ $name = printf "flare-%s" $name }}{{ end }}
{{- $name | trunc 52 | trimSuffix "-" }}
{{- end }}

{{- /* server or client, from the name of the chart. */}}
{{- define "flare-common.role" -}}
{{- .Chart.Name | trimPrefix "flare-" }}
{{- end }}

{{- define "flare-common.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (ternary (include "flare-common.fullname" .) "default" .Values.serviceAccount.create) }}
{{- end }}

{{- /* The headless Service through which job pods, tests and monitoring connect to the parent. */}}
{{- define "flare-common.headlessName" -}}
{{ include "flare-common.fullname" . }}-headless
{{- end }}

{{- define "flare-common.launchesPods" -}}
{{- if eq .Values.launcher "pod" }}true{{ end }}
{{- end }}
