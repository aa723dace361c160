{{- /*
Labels and annotations of the objects of a release. COMPONENT is server, client, job or test.

    metadata:
      {{- include "flare-common.metadata" (list . "NAME" COMPONENT [ANNOTATIONS [LABELS]]) | nindent 2 }}
    spec:
      selector:
        matchLabels: {{- include "flare-common.selectorLabels" (list . COMPONENT) | nindent 6 }}
*/}}

{{- define "flare-common.metadata" -}}
{{- $root := index . 0 -}}
{{- $annotations := $root.Values.commonAnnotations }}
{{- if gt (len .) 3 }}{{ $annotations = merge dict (index . 3) $annotations }}{{ end -}}
name: {{ index . 1 }}
namespace: {{ $root.Release.Namespace }}
labels:
  {{- include "flare-common.labels" (list $root (index . 2) (ternary (last .) dict (gt (len .) 4))) | nindent 2 }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "flare-common.labels" -}}
{{- $root := index . 0 -}}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
app.kubernetes.io/part-of: {{ $root.Values.site.project | default "flarefleet" | quote }}
{{ include "flare-common.stableLabels" . }}
{{- $labels := $root.Values.commonLabels }}
{{- if gt (len .) 2 }}{{ $labels = merge dict (index . 2) $labels }}{{ end }}
{{- with $labels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* Labels that stay the same in every upgrade, for pods and for the volume claim template, which is immutable. */}}
{{- define "flare-common.stableLabels" -}}
{{- $root := index . 0 -}}
{{ include "flare-common.selectorLabels" . }}
flare/site: {{ $root.Values.site.name | quote }}
flare/role: {{ index . 1 }}
{{- end }}

{{- define "flare-common.selectorLabels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "flare-common.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name | quote }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}
