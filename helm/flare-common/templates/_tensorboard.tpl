{{- /*
TensorBoard as a second container of the server pod. It mounts only the folder of the event files. An init container creates
the folder first: otherwise the kubelet creates it, owned by root.

    {{- with include "flare-common.tensorboard.container" . | trim }}{{ . | nindent 4 }}{{ end }}
*/}}

{{- define "flare-common.hasTensorboard" -}}
{{- if and (eq (include "flare-common.role" .) "server") .Values.tensorboard.enabled }}true{{ end }}
{{- end }}

{{- define "flare-common.tensorboard.init" -}}
{{- if include "flare-common.hasTensorboard" . -}}
- name: analytics-folder
  image: {{ include "flare-common.image" . }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  command: [mkdir, -p, /var/lib/flare/analytics]
  securityContext:
    {{- toYaml .Values.securityContext | nindent 4 }}
  resources:
    {{- toYaml .Values.tensorboard.resources | nindent 4 }}
  volumeMounts:
    - name: workspace
      mountPath: /var/lib/flare
{{- end }}
{{- end }}

{{- define "flare-common.tensorboard.container" -}}
{{- if include "flare-common.hasTensorboard" . -}}
{{- $tensorboard := .Values.tensorboard -}}
- name: tensorboard
  image: {{ include "flare-common.image" . }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  command: [tini, --, python, -m, tensorboard.main]
  args:
    - --logdir=/var/lib/flare/analytics
    - --bind_all
    - --port={{ .Values.ports.tensorboard }}
    - --reload_interval=5
    - --window_title={{ .Values.site.project | default .Release.Name }}
    {{- with $tensorboard.pathPrefix }}
    - --path_prefix={{ . }}
    {{- end }}
  securityContext:
    {{- toYaml .Values.securityContext | nindent 4 }}
  ports:
    - {name: tensorboard, containerPort: {{ .Values.ports.tensorboard }}}
  # The liveness probe is TCP only: TensorBoard responds slowly while it reads a long history, and must not be restarted then.
  startupProbe:
    httpGet: {path: {{ $tensorboard.pathPrefix }}/, port: tensorboard}
    periodSeconds: 5
    failureThreshold: 60
  livenessProbe:
    tcpSocket: {port: tensorboard}
    periodSeconds: 30
    failureThreshold: 10
  resources:
    {{- toYaml $tensorboard.resources | nindent 4 }}
  volumeMounts:
    - name: workspace
      mountPath: /var/lib/flare/analytics
      subPath: analytics
      readOnly: true
    - name: tensorboard-tmp
      mountPath: /tmp
{{- end }}
{{- end }}

{{- define "flare-common.tensorboard.volume" -}}
{{- if include "flare-common.hasTensorboard" . -}}
- name: tensorboard-tmp
  emptyDir:
    sizeLimit: 256Mi
{{- end }}
{{- end }}
