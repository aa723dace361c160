{{- /*
Pod of a parent: one container with the entry point of the image (tini, then `python -m fl_app.startup`).

    template:
      {{- include "flare-common.pod" . | nindent 4 }}
*/}}

{{- define "flare-common.pod" -}}
{{- $role := include "flare-common.role" . -}}
metadata:
  labels:
    {{- include "flare-common.stableLabels" (list . $role) | nindent 4 }}
    app.kubernetes.io/part-of: {{ .Values.site.project | default "flarefleet" | quote }}
    {{- with merge dict .Values.podLabels .Values.commonLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    {{- include "flare-common.pod.annotations" . | nindent 4 }}
spec:
  serviceAccountName: {{ include "flare-common.serviceAccountName" . }}
  automountServiceAccountToken: {{ eq .Values.launcher "pod" }}
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
  securityContext:
    {{- toYaml .Values.podSecurityContext | nindent 4 }}
  {{- with include "flare-common.imagePullSecrets" . | trim }}{{ . | nindent 2 }}{{ end }}
  {{- with include "flare-common.scheduling" .Values | trim }}{{ . | nindent 2 }}{{ end }}
  {{- range $key := list "hostAliases" "dnsPolicy" "dnsConfig" }}
  {{- with get $.Values $key }}
  {{ $key }}: {{- if kindIs "string" . }} {{ . }}{{ else }}{{ toYaml . | nindent 4 }}{{ end }}
  {{- end }}
  {{- end }}
  {{- if or .Values.initContainers (include "flare-common.hasTensorboard" .) }}
  initContainers:
    {{- with .Values.initContainers }}{{ toYaml . | nindent 4 }}{{ end }}
    {{- with include "flare-common.tensorboard.init" . | trim }}{{ . | nindent 4 }}{{ end }}
  {{- end }}
  containers:
    - name: parent
      image: {{ include "flare-common.image" . }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      securityContext:
        {{- toYaml .Values.securityContext | nindent 8 }}
      env:
        {{- include "flare-common.pod.env" . | nindent 8 }}
      {{- with include "flare-common.pod.envFrom" . | trim }}
      envFrom: {{- . | nindent 8 }}
      {{- end }}
      ports:
        - {name: telemetry, containerPort: {{ .Values.ports.telemetry }}}
        {{- if include "flare-common.launchesPods" . }}
        - {name: parent, containerPort: {{ .Values.ports.parent }}}
        {{- end }}
        {{- if eq $role "server" }}
        - {name: federation, containerPort: {{ .Values.ports.federation }}}
        {{- if ne (int .Values.ports.admin) (int .Values.ports.federation) }}
        - {name: admin, containerPort: {{ .Values.ports.admin }}}
        {{- end }}
        {{- end }}
      resources:
        {{- include "flare-common.pod.resources" . | nindent 8 }}
      {{- include "flare-common.probes" . | nindent 6 }}
      terminationMessagePath: /dev/termination-log
      terminationMessagePolicy: FallbackToLogsOnError
      volumeMounts:
        - name: workspace
          mountPath: /var/lib/flare
        - name: key
          mountPath: /run/secrets/flare
          readOnly: true
        {{- with include "flare-common.scratch.mounts" . | trim }}{{ . | nindent 8 }}{{ end }}
        {{- with include "flare-common.kit.mounts" . | trim }}{{ . | nindent 8 }}{{ end }}
        {{- if include "flare-common.launchesPods" . }}
        - name: jobs
          mountPath: /etc/flare/jobs
          readOnly: true
        {{- else }}
        {{- with include "flare-common.datasets.mounts" . | trim }}{{ . | nindent 8 }}{{ end }}
        {{- end }}
        {{- with .Values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    {{- with include "flare-common.tensorboard.container" . | trim }}{{ . | nindent 4 }}{{ end }}
    {{- with .Values.extraContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  volumes:
    {{- with include "flare-common.workspace.volume" . | trim }}{{ . | nindent 4 }}{{ end }}
    - name: key
      secret:
        secretName: {{ .Values.key.existingSecret }}
        # With fsGroup the kubelet adds read access for the group of the parent.
        defaultMode: 0400
    {{- include "flare-common.scratch.volumes" . | nindent 4 }}
    {{- with include "flare-common.tensorboard.volume" . | trim }}{{ . | nindent 4 }}{{ end }}
    {{- with include "flare-common.kit.volumes" . | trim }}{{ . | nindent 4 }}{{ end }}
    {{- if include "flare-common.launchesPods" . }}
    - name: jobs
      configMap:
        name: {{ include "flare-common.fullname" . }}-jobs
    {{- else }}
    {{- with include "flare-common.datasets.volumes" . | trim }}{{ . | nindent 4 }}{{ end }}
    {{- end }}
    {{- with .Values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}

{{- /* Checksums of the kit: the pod reads it only at startup, so a changed kit must restart the pod. */}}
{{- define "flare-common.pod.annotations" -}}
kubectl.kubernetes.io/default-container: parent
{{- if .Values.scrapeAnnotations }}
prometheus.io/scrape: "true"
prometheus.io/port: {{ .Values.ports.telemetry | quote }}
prometheus.io/path: /metrics
{{- end }}
{{- if eq .Values.kit.source "values" }}
checksum/kit: {{ .Values.kit.files | toJson | sha256sum }}
{{- end }}
{{- if include "flare-common.launchesPods" . }}
checksum/jobs: {{ include "flare-common.jobs.files" . | sha256sum }}
{{- end }}
{{- with merge dict .Values.podAnnotations .Values.commonAnnotations }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* Names and defaults: fl_app/contract.py. */}}
{{- define "flare-common.pod.env" -}}
- {name: FLARE_KIT, value: /etc/flare/kit}
- {name: FLARE_KEY, value: /run/secrets/flare}
- {name: FLARE_WORKSPACE, value: /var/lib/flare}
- {name: FLARE_PARENT_PORT, value: {{ .Values.ports.parent | quote }}}
- {name: FLARE_TELEMETRY_HOST, value: 0.0.0.0}
- {name: FLARE_TELEMETRY_PORT, value: {{ .Values.ports.telemetry | quote }}}
- {name: FLARE_TERMINATION_LOG, value: /dev/termination-log}
{{- if eq (include "flare-common.role" .) "client" }}
- {name: FLARE_SERVER_WAIT, value: {{ .Values.server.waitSeconds | quote }}}
{{- with .Values.server.address }}
- {name: FLARE_SERVER_ADDRESS, value: {{ . | quote }}}
{{- end }}
{{- end }}
{{- if include "flare-common.launchesPods" . }}
- {name: FLARE_JOBS, value: /etc/flare/jobs}
- {name: FLARE_PUSH_HOST, value: {{ include "flare-common.headlessName" . }}}
{{- end }}
{{- if eq (include "flare-common.role" .) "server" }}
{{- with .Values.tracking.receivers }}
- {name: FLARE_TRACKING, value: {{ join "," . | quote }}}
{{- end }}
{{- with .Values.analytics.keepDays }}
- {name: FLARE_ANALYTICS_KEEP_DAYS, value: {{ . | quote }}}
{{- end }}
{{- end }}
{{- with include "flare-common.extraEnv" . | trim }}
{{ . }}
{{- end }}
{{- end }}

{{- define "flare-common.extraEnv" -}}
{{- range $name, $value := .Values.environment }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "flare-common.pod.envFrom" -}}
{{- if eq (include "flare-common.role" .) "server" }}
{{- with .Values.tracking.existingSecret }}
- secretRef: {name: {{ . | quote }}}
{{- end }}
{{- end }}
{{- with .Values.extraEnvFrom }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "flare-common.pod.resources" -}}
{{- $resources := deepCopy .Values.resources }}
{{- if and .Values.gpus (eq .Values.launcher "process") }}
{{- $resources = mustMergeOverwrite $resources (dict "limits" (dict .Values.gpuResource .Values.gpus)) }}
{{- end }}
{{- toYaml $resources }}
{{- end }}
