{{- /*
Names of the objects of a release. A release is one participant, so its name is the release's name.

    metadata:
      name: {{ include "flare-common.fullname" . }}
*/}}

{{- define "flare-common.name" -}}
{{- .Values.nameOverride | default .Chart.Name }}
{{- end }}

{{- /* At most 52 characters: a StatefulSet's name with a revision's hash must be a label (63). Letters first: Services ask for it. */}}
{{- define "flare-common.fullname" -}}
{{- $name := .Values.fullnameOverride | default (.Release.Name | replace "." "-") }}
{{- if regexMatch "^[0-9]" $name }}{{ $name = printf "flare-%s" $name }}{{ end }}
{{- $name | trunc 52 | trimSuffix "-" }}
{{- end }}

{{- /* server or client: what the chart is called says which. */}}
{{- define "flare-common.role" -}}
{{- .Chart.Name | trimPrefix "flare-" }}
{{- end }}

{{- define "flare-common.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (ternary (include "flare-common.fullname" .) "default" .Values.serviceAccount.create) }}
{{- end }}

{{- /* The Service behind which job pods, tests and monitoring find the parent. */}}
{{- define "flare-common.headlessName" -}}
{{ include "flare-common.fullname" . }}-headless
{{- end }}

{{- define "flare-common.launchesPods" -}}
{{- if eq .Values.launcher "pod" }}true{{ end }}
{{- end }}
