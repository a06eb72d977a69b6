{{- /* SPDX-License-Identifier: Apache-2.0 */ -}}

{{- /* Namespaces that are asked about. */}}
{{- define "routegate.namespaceSelector" -}}
{{- with .Values.webhook.namespaceSelector.matchLabels }}
matchLabels:
  {{- toYaml . | nindent 2 }}
{{- end }}
matchExpressions:
  - key: kubernetes.io/metadata.name
    operator: NotIn
    values:
      {{- include "routegate.excluded" . | fromJsonArray | toYaml | nindent 6 }}
  {{- with .Values.scope.namespaces }}
  - key: kubernetes.io/metadata.name
    operator: In
    values:
      {{- . | sortAlpha | toYaml | nindent 6 }}
  {{- end }}
  {{- /* Where the policy bounds the label, it does not opt out. */}}
  {{- $labels := .Values.policy.namespaceLabels | default dict }}
  {{- $least := (get $labels "atLeast") | default "off" }}
  {{- if and (eq $least "off") (or (not (hasKey $labels "allow")) (has "enforce" $labels.allow)) }}
  - key: routegate.dev/enforce
    operator: NotIn
    values:
      - "off"
  {{- end }}
  {{- with .Values.webhook.namespaceSelector.matchExpressions }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{- /* The kinds of --reverse-checks, separated by commas. Who uses a class is not known where not all namespaces are read. */}}
{{- define "routegate.reverseChecks" -}}
{{- $kinds := list }}
{{- if and .Values.reverseChecks.ingressClasses (not .Values.scope.namespaces) }}{{ $kinds = append $kinds "ingressclasses" }}{{ end }}
{{- if and .Values.reverseChecks.secrets (ne .Values.secretAccess "off") }}{{ $kinds = append $kinds "secrets" }}{{ end }}
{{- if .Values.reverseChecks.services }}{{ $kinds = append $kinds "services" }}{{ end }}
{{- join "," $kinds }}
{{- end }}

{{- /*
The webhook about what Ingresses use. It is asked about little: of Secrets, only those with a key that an Ingress can use
ever leave the API server, and where only metadata are read, only when they are deleted. Deletions are not to wait for it.
*/}}
{{- define "routegate.dependencies" -}}
{{- $kinds := include "routegate.reverseChecks" . | splitList "," }}
- name: dependencies.routegate.dev
  admissionReviewVersions:
    - v1
  clientConfig:
    service:
      name: {{ include "routegate.fullname" . }}
      namespace: {{ .Release.Namespace }}
      path: /validate-dependencies
      port: 443
    {{- if eq .Values.certificates.mode "secret" }}
    {{- with .Values.certificates.secret.caBundle }}
    caBundle: {{ b64enc . }}
    {{- end }}
    {{- end }}
  rules:
    {{- if has "services" $kinds }}
    - operations:
        - DELETE
        - UPDATE
      apiGroups:
        - ""
      apiVersions:
        - v1
      resources:
        - services
      scope: Namespaced
    {{- end }}
    {{- if has "secrets" $kinds }}
    - operations:
        - DELETE
        {{- if ne .Values.secretAccess "metadata" }}
        - UPDATE
        {{- end }}
      apiGroups:
        - ""
      apiVersions:
        - v1
      resources:
        - secrets
      scope: Namespaced
    {{- end }}
    {{- if has "ingressclasses" $kinds }}
    - operations:
        - DELETE
      apiGroups:
        - networking.k8s.io
      apiVersions:
        - v1
      resources:
        - ingressclasses
      scope: Cluster
    {{- end }}
  failurePolicy: Ignore
  matchPolicy: Equivalent
  sideEffects: None
  timeoutSeconds: {{ min 2 .Values.webhook.timeoutSeconds }}
  namespaceSelector:
    {{- include "routegate.namespaceSelector" . | nindent 4 }}
  matchConditions:
    - name: secrets-of-ingresses
      expression: >-
        request.resource.resource != 'secrets' ||
        (has(oldObject.data) && ['auth', 'ca.crt', 'tls.crt'].exists(key, key in oldObject.data))
    - name: something-changes
      expression: >-
        request.operation == 'DELETE' || (request.resource.resource == 'secrets'
        ? !has(object.data) || !has(oldObject.data) || object.data != oldObject.data : object.spec != oldObject.spec)
    - name: not-being-deleted
      expression: "!has(oldObject.metadata.deletionTimestamp)"
    - name: not-by-a-controller
      expression: >-
        !(request.userInfo.username in {{ toJson .Values.reverseChecks.ignoredUsers }}) && (!has(request.userInfo.groups) ||
        !request.userInfo.groups.exists(group, group in {{ toJson .Values.reverseChecks.ignoredGroups }}))
{{- end }}
