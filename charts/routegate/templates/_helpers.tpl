{{- /* SPDX-License-Identifier: Apache-2.0 */ -}}

{{- define "routegate.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- /* Fit for a Service, and short enough for a suffix. */}}
{{- define "routegate.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | replace "." "-" | trunc 52 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | replace "." "-" | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | replace "." "-" | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "routegate.selectorLabels" -}}
app.kubernetes.io/name: {{ include "routegate.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "routegate.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "routegate.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: routegate
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* The metadata that all objects share. Call it with a dict of: root, name, and optionally namespace, labels, annotations. */}}
{{- define "routegate.metadata" -}}
name: {{ .name }}
{{- with .namespace }}
namespace: {{ . }}
{{- end }}
labels:
  {{- include "routegate.labels" .root | nindent 2 }}
  {{- with .labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with merge (dict) (default dict .annotations) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "routegate.serviceAccountName" -}}
{{- default (include "routegate.fullname" .) .Values.serviceAccount.name }}
{{- end }}

{{- define "routegate.image" -}}
{{- $image := .Values.image.repository }}
{{- with .Values.image.registry }}{{ $image = printf "%s/%s" . $image }}{{ end }}
{{- with .Values.image.digest }}
{{- printf "%s@%s" $image . }}
{{- else }}
{{- printf "%s:%s" $image (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{- define "routegate.port" -}}
{{- $port := .Values.webhook.port | default (ternary 10270 10250 .Values.hostNetwork) | int }}
{{- if and .Values.hostNetwork (eq $port 10250) }}
{{- fail "webhook.port 10250: with hostNetwork it must be another one, because the kubelet has it" }}
{{- end }}
{{- $port }}
{{- end }}

{{- /* The namespaces that Routegate is not asked about, as a list in JSON. */}}
{{- define "routegate.excluded" -}}
{{- append .Values.webhook.excludeNamespaces .Release.Namespace | uniq | sortAlpha | toJson }}
{{- end }}

{{- /* The Namespaces that are read where not all are, as a list in JSON: those of the scope, and those of controllers, which a NetworkPolicy may admit. */}}
{{- define "routegate.namespacesByName" -}}
{{- $names := .Values.scope.namespaces }}
{{- range .Values.controllerPods }}
{{- $names = append $names (splitList "/" . | first) }}
{{- end }}
{{- uniq $names | toJson }}
{{- end }}

{{- /* What the checks read in a namespace. A test compares it with what they declare. */}}
{{- define "routegate.reads" -}}
- apiGroups: [networking.k8s.io]
  resources: [ingresses]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get]
{{- if eq .Values.secretAccess "get" }}
- apiGroups: [""]
  resources: [secrets]
  verbs: [get]
{{- else if ne .Values.secretAccess "off" }}
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch]
{{- end }}
{{- if .Values.readPods }}
- apiGroups: [""]
  resources: [pods]
  verbs: [list]
{{- end }}
{{- if .Values.controllerPods }}
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [list, watch]
{{- end }}
{{- end }}

{{- /* Empty unless Routegate makes its certificate itself. */}}
{{- define "routegate.selfManaged" -}}
{{- if eq .Values.certificates.mode "self-managed" }}true{{ end }}
{{- end }}

{{- /* Empty unless Ingresses are to be refused while Routegate cannot be asked. It then writes the rules of the webhook. */}}
{{- define "routegate.fails" -}}
{{- if eq "Fail" (.Values.webhook.failurePolicy | default (ternary "Fail" "Ignore" (eq .Values.preset "strict"))) }}true{{ end }}
{{- end }}

{{- /* Empty unless Routegate writes its webhook configuration, which one Pod at a time may do. */}}
{{- define "routegate.leads" -}}
{{- or (include "routegate.selfManaged" .) (include "routegate.fails" .) }}
{{- end }}

{{- /* Empty unless one Pod at a time does something, so that there is a Lease. */}}
{{- define "routegate.elects" -}}
{{- or (include "routegate.leads" .) (ternary "true" "" .Values.audit.enabled) }}
{{- end }}

{{- define "routegate.managedSecret" -}}
{{- include "routegate.fullname" . }}-certificate
{{- end }}

{{- /* The Secret that is mounted, where Routegate does not manage one. */}}
{{- define "routegate.mountedSecret" -}}
{{- if eq .Values.certificates.mode "secret" }}
{{- required "certificates.secret.name: must be set with certificates.mode secret" .Values.certificates.secret.name }}
{{- else }}
{{- include "routegate.managedSecret" . }}
{{- end }}
{{- end }}

{{- /* The DNS names of the certificate, as a list in JSON. */}}
{{- define "routegate.hosts" -}}
{{- $service := printf "%s.%s" (include "routegate.fullname" .) .Release.Namespace }}
{{- list (printf "%s.svc" $service) (printf "%s.svc.cluster.local" $service) $service | toJson }}
{{- end }}

{{- /* The right to record Events about Ingresses, in which those that are repeated are counted. */}}
{{- define "routegate.records" -}}
{{- if and .Values.audit.enabled .Values.audit.events -}}
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}
{{- end }}
