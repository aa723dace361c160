{{- /*
The public part of the kit, mounted at /etc/flare/kit (from the image, from ConfigMaps of this release or from existing ones),
and the private key with the context of homomorphic encryption, if any, mounted at /run/secrets/flare from their Secret.

    volumes:
      {{- include "flare-common.kit.volumes" . | nindent 2 }}
    volumeMounts:
      {{- include "flare-common.kit.mounts" . | nindent 2 }}
*/}}

{{- define "flare-common.kit.configMapName" -}}
{{- $root := index . 0 }}{{ $folder := index . 1 -}}
{{- if eq $root.Values.kit.source "values" -}}
{{ include "flare-common.fullname" $root }}-kit-{{ $folder }}
{{- else -}}
{{ index $root.Values.kit.configMap $folder | required (printf "kit.source is configMap: name the one of the kit's %s/ in kit.configMap.%s" $folder $folder) }}
{{- end }}
{{- end }}

{{- define "flare-common.kit.volumes" -}}
{{- if ne .Values.kit.source "image" -}}
{{- range $folder := list "startup" "local" -}}
- name: kit-{{ $folder }}
  configMap:
    name: {{ include "flare-common.kit.configMapName" (list $ $folder) }}
    defaultMode: 0444
{{ end }}
{{- end }}
{{- end }}

{{- define "flare-common.kit.mounts" -}}
{{- if ne .Values.kit.source "image" -}}
{{- range $folder := list "startup" "local" -}}
- name: kit-{{ $folder }}
  mountPath: /etc/flare/kit/{{ $folder }}
  readOnly: true
{{ end }}
{{- end }}
{{- end }}

{{- define "flare-common.kit.configMaps" -}}
{{- if eq .Values.kit.source "values" -}}
{{- range $folder := list "startup" "local" }}
{{- $files := index $.Values.kit.files $folder }}
{{- if not $files }}{{ fail (printf "kit.source is values, and kit.files.%s is empty: give -f the values.yaml that provisioning wrote for this participant" $folder) }}{{ end }}
---
apiVersion: v1
kind: ConfigMap
metadata:
  {{- include "flare-common.metadata" (list $ (include "flare-common.kit.configMapName" (list $ $folder)) (include "flare-common.role" $)) | nindent 2 }}
data:
  {{- toYaml $files | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}
