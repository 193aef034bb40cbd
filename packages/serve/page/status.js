// What the page of /status does: it asks for /status.json every two seconds, and writes what it says as text.
'use strict';
(() => {
  const PERIOD = 2000;
  const at = (id) => document.getElementById(id);
  const [title, about, notice, form, parts] = ['title', 'about', 'notice', 'key', 'parts'].map(at);
  const offer = trying();
  let timer;

  const percent = (value) => `${Math.round(value * 100)} %`;
  const bytes = (value) => {
    const power = value < 1024 ? 0 : Math.min(3, Math.floor(Math.log2(value) / 10));
    return `${(value / 1024 ** power).toFixed(power === 0 || value / 1024 ** power >= 100 ? 0 : 1)} ${['B', 'KiB', 'MiB', 'GiB'][power]}`;
  };
  const duration = (seconds) => {
    const [days, hours, minutes] = [86_400, 3600, 60].map((unit) => Math.floor(seconds / unit));
    if (days > 0) return `${days} d ${hours % 24} h`;
    if (hours > 0) return `${hours} h ${minutes % 60} min`;
    return minutes > 0 ? `${minutes} min ${Math.floor(seconds % 60)} s` : `${Math.floor(seconds)} s`;
  };

  const facts = (rows) =>
    element(
      'dl',
      '',
      ...rows.map(([name, value, isBad]) =>
        element('div', '', element('dt', '', name), element('dd', isBad ? 'bad' : '', value)),
      ),
    );

  // A column is a name, what a row has there, and whether that is a number.
  const table = (heading, columns, rows, none) => {
    if (rows.length === 0) return none ? [element('h2', '', heading), element('p', 'quiet', none)] : [];
    const cells = (name, make) =>
      columns.map((column) => element(name, column[2] ? 'number' : '', ...[make(column)].flat()));
    const head = element('tr', '', ...cells('th', ([name]) => name));
    for (const each of head.children) each.scope = 'col';
    const body = rows.map((row) => element('tr', '', ...cells('td', (column) => column[1](row))));
    const made = element('table', '', element('thead', '', head), element('tbody', '', ...body));
    const scroll = element('div', 'scroll', made);
    // What scrolls is reached by keys, too.
    scroll.tabIndex = 0;
    scroll.setAttribute('role', 'region');
    scroll.setAttribute('aria-label', heading);
    return [element('h2', '', heading), scroll];
  };

  const spreads = [
    ['requests', ({ spread }) => count(spread.count), true],
    ['mean', ({ spread }) => milliseconds(spread.mean), true],
    ['50 %', ({ spread }) => milliseconds(spread.p50), true],
    ['95 %', ({ spread }) => milliseconds(spread.p95), true],
    ['99 %', ({ spread }) => milliseconds(spread.p99), true],
  ];
  const stageNames = {
    request: 'whole request',
    waiting: 'waiting for a batch',
    computing: 'computing a batch',
    reading: 'reading an adapter',
  };

  const shown = (status) => {
    const { server, memory, queue, history, batches, stages, adapters, splits, tenants, answers, refusals, failures } =
      status;
    title.textContent = server.name;
    document.title = `${server.name} · onnx-lora`;
    about.textContent = `onnx-lora ${server.version} · base ${server.digest.slice(0, 12)} · up ${duration(server.uptime)} · as of ${new Date().toLocaleTimeString()}`;
    const limit = memory.limit === null ? '' : ` of ${bytes(memory.limit)}`;
    const errors = answers.filter(({ status: code }) => code >= 500);
    const failed = errors.reduce((sum, each) => sum + each.count, 0);
    const stateOf = (each) => [each.loaded && 'in memory', each.pinned && 'pinned', each.current && 'current'].filter(Boolean).join(', '); // prettier-ignore
    offer(status);
    const children = [
      charts(history, server.uptime),
      facts([
        ['takes requests', server.ready ? 'yes' : 'no', !server.ready],
        ['waiting', `${count(queue.requests)} (${bytes(queue.bytes)})`],
        ['computing', `${count(queue.batches)} ${queue.batches === 1 ? 'batch' : 'batches'}`],
        ['a new request would wait', `${milliseconds(queue.wait)} ms`],
        ['memory', `${bytes(memory.resident)}${limit}`, memory.limit !== null && memory.resident > 0.95 * memory.limit],
        ['graphs loaded', count(memory.sessions)],
        ['failed (5xx)', count(failed), failed > 0],
        ['client gone', count(failures.gone)],
      ]),
      ...table(
        'Time by stage, milliseconds',
        [['stage', ({ stage }) => stageNames[stage]], ...spreads],
        stages.filter(({ spread }) => spread.count > 0),
        'No request has come yet.',
      ),
      ...(batches.count === 0
        ? []
        : [
            element('h2', '', 'Batches'),
            facts([
              ['so far', count(batches.count)],
              ['requests, mean', batches.requests.toFixed(1)],
              ['rows, mean', batches.rows.toFixed(1)],
              ['adapters, mean', batches.adapters.toFixed(1)],
              ['padding, mean', percent(batches.padding)],
            ]),
          ]),
      ...table(
        `Adapters (${count(status.adapterCount)}${adapters.length < status.adapterCount ? `, of which ${adapters.length} are shown` : ''})`,
        [
          ['name', ({ name }) => name],
          ['state', (each) => element('span', each.loaded ? 'mark' : 'quiet', stateOf(each))],
          ['version', ({ version }) => version],
          ['digest', ({ digest }) => digest.slice(0, 12)],
          ['size', (each) => bytes(each.bytes), true],
        ],
        adapters,
        'There is none.',
      ),
      ...table(
        'Splits',
        [
          ['name', ({ name }) => name],
          ['its requests go to', ({ shares }) => shares.map(({ to, share }) => `${to}: ${percent(share)}`).join(', ')], // prettier-ignore
        ],
        splits,
      ),
      ...table(
        'Tenants',
        [
          ['tenant', ({ tenant }) => tenant || '(without a key)'],
          ['weight', ({ weight }) => count(weight), true],
          ['waiting', ({ waiting }) => count(waiting), true],
          ['answered', ({ answered }) => count(answered), true],
          ['refused', ({ refused }) => count(refused), true],
          ['failed', (each) => count(each.failed), true],
        ],
        tenants,
      ),
      ...table(
        'Answers',
        [
          ['route', ({ route }) => route.replace(/ none$/, ' (no such route)')],
          ['status', ({ status: code }) => code, true],
          ['requests', (each) => count(each.count), true],
        ],
        answers,
      ),
      ...table(
        'Refused before they waited',
        [
          ['why', ({ reason }) => reason],
          ['requests', (each) => count(each.count), true],
        ],
        refusals,
      ),
    ];
    // Where somebody had scrolled to stays.
    const scrolled = [...parts.querySelectorAll('.scroll')].map((each) => [each.getAttribute('aria-label'), each.scrollLeft]); // prettier-ignore
    const focused = document.activeElement?.getAttribute('aria-label');
    parts.replaceChildren(...children);
    for (const each of parts.querySelectorAll('.scroll')) {
      const label = each.getAttribute('aria-label');
      each.scrollLeft = scrolled.find(([name]) => name === label)?.[1] ?? 0;
      if (focused === label) each.focus({ preventScroll: true });
    }
  };

  const tell = (text) => {
    notice.hidden = text === '';
    if (notice.textContent !== text) notice.textContent = text;
  };

  const refresh = async () => {
    clearTimeout(timer);
    const key = sessionStorage.getItem(KEY);
    let next = true;
    try {
      const answer = await fetch('status.json', {
        cache: 'no-store',
        headers: keyHeader(),
      });
      const body = await answer.json();
      const isRefused = answer.status === 401 || answer.status === 403;
      form.hidden = !isRefused;
      if (answer.ok) {
        tell('');
        shown(body);
      } else {
        tell(isRefused && key === null ? '' : body.error);
        if (isRefused) {
          about.textContent = 'What is served is told to those who may change it.';
          next = false;
        }
      }
    } catch {
      tell('The server does not answer. What stands here is from before; it is asked again.');
    }
    if (next) timer = setTimeout(() => void refresh(), document.hidden ? PERIOD * 15 : PERIOD);
  };

  form.addEventListener('submit', (event) => {
    event.preventDefault();
    sessionStorage.setItem(KEY, at('secret').value.trim());
    void refresh();
  });
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden && form.hidden) void refresh();
  });
  void refresh();
})();
