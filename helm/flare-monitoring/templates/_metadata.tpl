{{- /*
Names, labels and annotations of the objects of a release.

    metadata:
      {{- include "flare-monitoring.metadata" (list . "SUFFIX") | nindent 2 }}
*/}}

{{- define "flare-monitoring.name" -}}
{{- .Values.fullnameOverride | default (.Release.Name | replace "." "-") | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "flare-monitoring.metadata" -}}
{{- $root := index . 0 -}}
{{- $labels := dict }}{{ if gt (len .) 2 }}{{ $labels = index . 2 }}{{ end }}
{{- $annotations := dict }}{{ if gt (len .) 3 }}{{ $annotations = index . 3 }}{{ end -}}
name: {{ include "flare-monitoring.name" $root }}{{ with index . 1 }}-{{ . }}{{ end }}
namespace: {{ $root.Release.Namespace }}
labels:
  helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
  app.kubernetes.io/name: {{ $root.Chart.Name }}
  app.kubernetes.io/instance: {{ $root.Release.Name | quote }}
  app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
  app.kubernetes.io/managed-by: {{ $root.Release.Service }}
  app.kubernetes.io/part-of: flarefleet
  {{- with merge dict $labels $root.Values.commonLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with merge dict $annotations $root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
