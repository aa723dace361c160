{{- /*
Writable volumes (the workspace, /tmp, /dev/shm) and the datasets of the site at /data/NAME.

    volumes:
      {{- include "flare-common.datasets.volumes" . | nindent 2 }}
*/}}

{{- define "flare-common.datasets.volumes" -}}
{{- range $name, $dataset := .Values.datasets -}}
- name: data-{{ $name }}
  persistentVolumeClaim:
    claimName: {{ $dataset.claim }}
    readOnly: {{ ne ($dataset.mode | default "ro") "rw" }}
{{ end }}
{{- end }}

{{- define "flare-common.datasets.mounts" -}}
{{- range $name, $dataset := .Values.datasets -}}
- name: data-{{ $name }}
  mountPath: /data/{{ $name }}
  readOnly: {{ ne ($dataset.mode | default "ro") "rw" }}
{{ end }}
{{- end }}

{{- define "flare-common.scratch.volumes" -}}
- name: tmp
  emptyDir:
    sizeLimit: {{ .Values.tmp.sizeLimit }}
{{- with .Values.sharedMemory.sizeLimit }}
- name: shm
  emptyDir:
    medium: Memory
    sizeLimit: {{ . }}
{{- end }}
{{- end }}

{{- define "flare-common.scratch.mounts" -}}
- name: tmp
  mountPath: /tmp
{{- if .Values.sharedMemory.sizeLimit }}
- name: shm
  mountPath: /dev/shm
{{- end }}
{{- end }}

{{- /* Only if this release does not create the claim itself. */}}
{{- define "flare-common.workspace.volume" -}}
{{- if not .Values.persistence.enabled -}}
- name: workspace
  emptyDir:
    sizeLimit: {{ .Values.persistence.size }}
{{- else if .Values.persistence.existingClaim -}}
- name: workspace
  persistentVolumeClaim:
    claimName: {{ .Values.persistence.existingClaim }}
{{- end }}
{{- end }}

{{- define "flare-common.workspace.claim" -}}
{{- if and .Values.persistence.enabled (not .Values.persistence.existingClaim) -}}
persistentVolumeClaimRetentionPolicy:
  whenDeleted: {{ .Values.persistence.whenDeleted }}
  whenScaled: Retain
volumeClaimTemplates:
  - apiVersion: v1
    kind: PersistentVolumeClaim
    metadata:
      name: workspace
      labels:
        {{- include "flare-common.stableLabels" (list . (include "flare-common.role" .)) | nindent 8 }}
      {{- with .Values.persistence.annotations }}
      annotations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      accessModes: {{- toYaml .Values.persistence.accessModes | nindent 8 }}
      {{- if kindIs "string" .Values.persistence.storageClassName }}
      storageClassName: {{ .Values.persistence.storageClassName | quote }}
      {{- end }}
      resources:
        requests:
          storage: {{ .Values.persistence.size }}
{{- end }}
{{- end }}
