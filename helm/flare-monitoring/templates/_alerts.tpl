{{- /*
The alerts of rules/flarefleet.yaml (generated from deploy/monitoring) as the values want them: some left out, more labels, links
to where the runbooks are.

    spec:
      {{- include "flare-monitoring.alerts" . | nindent 2 }}
*/}}

{{- define "flare-monitoring.alerts" -}}
{{- $wanted := .Values.alerts -}}
{{- $groups := list -}}
{{- range $group := (.Files.Get "rules/flarefleet.yaml" | fromYaml).groups }}
{{- $rules := list }}
{{- range $rule := $group.rules }}
{{- if not (has $rule.alert $wanted.without) }}
{{- $_ := set $rule "labels" (merge dict $rule.labels $wanted.labels) }}
{{- $_ := set $rule.annotations "runbook_url" (printf "%s/%s.md" (trimSuffix "/" $wanted.runbooks) $rule.alert) }}
{{- $rules = append $rules $rule }}
{{- end }}
{{- end }}
{{- if $rules }}
{{- $groups = append $groups (dict "name" $group.name "rules" $rules) }}
{{- end }}
{{- end }}
{{- toYaml (dict "groups" $groups) }}
{{- end }}
