{{- /*
ConfigMap mounted at /etc/flare/jobs of a parent with `launcher: pod`: study_runtime.yaml is the pod template of jobs in the
format of NVFlare, launcher.yaml has the settings of the launcher. The ConfigMap owns the job pods: they are deleted with the
release.

    {{ include "flare-common.jobs" . }}
*/}}

{{- define "flare-common.jobs" -}}
{{- if include "flare-common.launchesPods" . -}}
apiVersion: v1
kind: ConfigMap
metadata:
  {{- include "flare-common.metadata" (list . (printf "%s-jobs" (include "flare-common.fullname" .)) (include "flare-common.role" .)) | nindent 2 }}
data:
  {{- include "flare-common.jobs.files" . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "flare-common.jobs.files" -}}
launcher.yaml: |
  {{- include "flare-common.jobs.launcher" . | nindent 2 }}
study_runtime.yaml: |
  format_version: 2
  studies:
    default:
      container:
        image: {{ include "flare-common.image" . }}
      pod_template:
        {{- include "flare-common.jobs.pod" . | nindent 8 }}
{{- end }}

{{- define "flare-common.jobs.launcher" -}}
namespace: {{ .Release.Namespace }}
owner: {apiVersion: v1, kind: ConfigMap, name: {{ include "flare-common.fullname" . }}-jobs}
labels:
  {{- include "flare-common.selectorLabels" (list . "job") | nindent 2 }}
parent: {host: {{ include "flare-common.headlessName" . }}, port: {{ .Values.ports.parent }}}
gpus: {{ .Values.gpus }}
gpu_resource: {{ .Values.gpuResource }}
ephemeral_storage: {{ .Values.jobPods.ephemeralStorage }}
start_timeout_seconds: {{ .Values.jobPods.startTimeoutSeconds }}
pending_timeout_seconds: {{ .Values.jobPods.pendingTimeoutSeconds | default "null" }}
ttl_seconds_after_finished: {{ .Values.jobPods.ttlSecondsAfterFinished }}
default_resources:
  {{- toYaml .Values.jobPods.resources | nindent 2 }}
{{- with include "flare-common.jobs.checkpoints" . | trim }}
checkpoints:
  {{- . | nindent 2 }}
{{- end }}
{{- end }}

{{- /*
The claim for the checkpoints of the server's job pods, which must run on the node of the server's pod unless several nodes can
mount the claim. Without a claim, or with one for a single pod, checkpoints are lost with the job's pod.
*/}}
{{- define "flare-common.jobs.checkpoints" -}}
{{- $storage := .Values.persistence -}}
{{- if and (eq (include "flare-common.role" .) "server") $storage.enabled (not (has "ReadWriteOncePod" $storage.accessModes)) -}}
claim: {{ $storage.existingClaim | default (printf "workspace-%s-0" (include "flare-common.fullname" .)) }}
{{- if not (has "ReadWriteMany" $storage.accessModes) }}
node_of:
  {{- include "flare-common.selectorLabels" (list . "server") | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}

{{- define "flare-common.jobs.pod" -}}
apiVersion: v1
kind: Pod
metadata:
  labels:
    {{- include "flare-common.stableLabels" (list . "job") | nindent 4 }}
    {{- with merge dict .Values.jobPods.labels .Values.commonLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with merge dict .Values.jobPods.annotations .Values.commonAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  automountServiceAccountToken: false
  enableServiceLinks: false
  securityContext:
    {{- toYaml .Values.podSecurityContext | nindent 4 }}
  {{- with include "flare-common.imagePullSecrets" . | trim }}{{ . | nindent 2 }}{{ end }}
  {{- with include "flare-common.scheduling" .Values.jobPods | trim }}{{ . | nindent 2 }}{{ end }}
  {{- with .Values.hostAliases }}
  hostAliases:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: nvflare_job
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      securityContext:
        {{- toYaml .Values.securityContext | nindent 8 }}
      {{- with include "flare-common.extraEnv" . | trim }}
      env:
        {{- . | nindent 8 }}
      {{- end }}
      terminationMessagePolicy: FallbackToLogsOnError
      volumeMounts:
        {{- with include "flare-common.scratch.mounts" . | trim }}{{ . | nindent 8 }}{{ end }}
        {{- with include "flare-common.datasets.mounts" . | trim }}{{ . | nindent 8 }}{{ end }}
  volumes:
    {{- include "flare-common.scratch.volumes" . | nindent 4 }}
    {{- with include "flare-common.datasets.volumes" . | trim }}{{ . | nindent 4 }}{{ end }}
{{- end }}
