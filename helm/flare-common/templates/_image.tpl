{{- /*
The image of every pod of a release: parent, jobs and tests.

    image: {{ include "flare-common.image" . }}
    imagePullPolicy: {{ .Values.image.pullPolicy }}
*/}}

{{- define "flare-common.image" -}}
{{- $image := .Values.image -}}
{{- $name := ternary (printf "%s/%s" (trimSuffix "/" $image.registry) $image.repository) $image.repository (ne $image.registry "") -}}
{{- if $image.digest }}{{ $name }}@{{ $image.digest }}{{ else }}{{ $name }}:{{ $image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{- define "flare-common.imagePullSecrets" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
