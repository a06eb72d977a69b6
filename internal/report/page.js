// SPDX-License-Identifier: Apache-2.0
'use strict';
(() => {
  const at = (id) => document.getElementById(id);
  const namespace = at('namespace'), host = at('host'), open = at('open');
  const collect = (selector) => Array.from(document.querySelectorAll(selector), (element) => ({
    element, namespace: element.dataset.namespace, hosts: element.dataset.hosts.toLowerCase(),
  }));
  const ingresses = collect('article'), paths = collect('tbody tr');
  const groups = Array.from(document.querySelectorAll('.group'));
  const findings = Array.from(document.querySelectorAll('details'));
  let typed, opened = false;

  const filter = (all) => {
    const part = host.value.trim().toLowerCase();
    let shown = 0;
    for (const item of all) {
      const wanted = (namespace.value === '' || item.namespace === namespace.value) && item.hosts.includes(part);
      item.element.hidden = !wanted;
      shown += wanted;
    }
    return shown + ' of ' + all.length;
  };
  const show = () => {
    at('shown').textContent = filter(ingresses) + ' Ingresses with findings, ' + filter(paths) + ' paths shown';
    for (const group of groups) {
      group.hidden = !group.querySelector('article:not([hidden])');
    }
  };
  const reset = () => {
    clearTimeout(typed);
    namespace.value = host.value = '';
    show();
  };
  // A link to what the filter hides takes the filter away.
  const follow = () => {
    const target = at(decodeURIComponent(location.hash.slice(1)));
    if (target && target.closest('[hidden]')) {
      reset();
      target.scrollIntoView();
    }
  };

  namespace.addEventListener('change', show);
  // In a large page, each letter would cost too much.
  host.addEventListener('input', () => {
    clearTimeout(typed);
    typed = setTimeout(show, 150);
  });
  at('reset').addEventListener('click', reset);
  open.addEventListener('click', () => {
    opened = !opened;
    for (const finding of findings) {
      finding.open = opened;
    }
    open.textContent = opened ? 'Close findings' : 'Open findings';
  });
  window.addEventListener('hashchange', follow);
  at('filter').hidden = false;
  show();
})();
