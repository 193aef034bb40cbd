// The form to try the model: by a conversation, a text, or a file, by what the model reads.
/* oxlint-disable no-unused-vars -- used by the scripts behind it, all of which are one on the page */

const trying = () => {
  const section = document.getElementById('try');
  const adapters = element('select', '');
  adapters.id = 'adapter';
  const button = element('button', '', 'Ask');
  const told = element('div', 'told');
  told.setAttribute('aria-live', 'polite');
  let asking;
  let model;
  let known = '';

  const labelled = (text, field, id) => {
    field.id = id;
    const label = element('label', '', text);
    label.htmlFor = id;
    return element('div', 'field', label, field);
  };

  // Numbers are shortened, pictures are shown.
  const answerOf = (value) => {
    if (typeof value === 'string' && value.startsWith('data:image/')) {
      const picture = element('img', '');
      picture.src = value;
      picture.alt = 'a picture that the model has made';
      return picture;
    }
    if (typeof value === 'number') return element('span', '', Number.isInteger(value) ? value : value.toPrecision(4));
    if (Array.isArray(value) && value.every((each) => typeof each === 'number'))
      return element('span', '', `${value.slice(0, 8).map((each) => each.toPrecision(4)).join(', ')}${value.length > 8 ? `, … (${value.length} numbers)` : ''}`); // prettier-ignore
    if (Array.isArray(value)) {
      const shown = value.slice(0, 20);
      const names = [...new Set(shown.flatMap((each) => (typeof each === 'object' && each !== null ? Object.keys(each) : [])))]; // prettier-ignore
      if (names.length === 0) return element('ol', '', ...shown.map((each) => element('li', '', answerOf(each))));
      const row = (name, made) => element('tr', '', ...names.map((each) => element(name, '', made(each))));
      return element('div', 'scroll', element('table', '', row('th', (each) => each), ...shown.map((one) => row('td', (each) => answerOf(one[each] ?? ''))))); // prettier-ignore
    }
    if (typeof value !== 'object' || value === null) return element('span', 'said', String(value));
    const rows = Object.entries(value).map(([name, each]) => element('div', '', element('dt', '', name), element('dd', '', answerOf(each)))); // prettier-ignore
    return element('dl', 'answer', ...rows);
  };

  const sent = async (field) => {
    const adapter = adapters.value;
    const json = (url, body) =>
      fetch(url, { method: 'POST', headers: { ...keyHeader(), 'content-type': 'application/json' }, body: JSON.stringify(body) }); // prettier-ignore
    const query = adapter === '' ? '' : `?adapter=${encodeURIComponent(adapter)}`;
    if (asking.kind === 'chat') {
      const messages = [{ role: 'user', content: field.value }];
      const answer = await json('v1/chat/completions', { model: adapter === '' ? model : `${model}:${adapter}`, messages, max_tokens: 256 }); // prettier-ignore
      const body = await answer.json();
      return answer.ok ? { answer: body.choices[0].message.content } : { failure: body.error.message };
    }
    let answer;
    if (asking.kind === 'text') answer = await json(`predict${query}`, { records: [{ [asking.column]: field.value }] });
    else {
      const form = new FormData();
      form.append('file', field.files[0]);
      answer = await fetch(`predict${query}`, { method: 'POST', headers: keyHeader(), body: form });
    }
    const body = await answer.json();
    return answer.ok ? { answer: body.predictions[0] } : { failure: body.error };
  };

  const made = () => {
    const field = element(asking.kind === 'file' ? 'input' : 'textarea', '');
    field.required = true;
    if (asking.kind === 'file') {
      field.type = 'file';
      field.accept = asking.endings.join(',');
    } else field.rows = 3;
    const what = { chat: 'What you say', text: asking.column === 'text' ? 'A text' : 'A sequence', file: `A file: ${(asking.endings ?? []).join(', ')}` }; // prettier-ignore
    const form = element('form', 'ask', labelled(what[asking.kind], field, 'asked'), labelled('Adapter', adapters, 'adapter'), button); // prettier-ignore
    form.addEventListener('submit', async (event) => {
      event.preventDefault();
      button.disabled = true;
      told.replaceChildren(element('p', 'quiet', 'Asking…'));
      const start = performance.now();
      try {
        const { answer, failure } = await sent(field);
        const took = element(
          'p',
          'quiet small',
          `${milliseconds(performance.now() - start)} ms, with the way there and back`,
        );
        told.replaceChildren(failure === undefined ? answerOf(answer) : element('p', 'notice', failure), took);
      } catch {
        told.replaceChildren(element('p', 'notice', 'The server does not answer. Ask again.'));
      }
      button.disabled = false;
    });
    section.replaceChildren(element('h2', '', 'Try it'), form, told);
  };

  // Called with each state; what is typed stays.
  return (status) => {
    model = status.server.name;
    if (!asking) {
      asking = status.asking;
      section.hidden = asking.kind === 'none';
      if (!section.hidden) made();
    }
    const names = [...new Set(status.adapters.map(({ name }) => name))].sort((a, b) => (a < b ? -1 : 1));
    if (known === JSON.stringify(names)) return;
    known = JSON.stringify(names);
    const chosen = adapters.value;
    const option = (value, text) => {
      const one = element('option', '', text);
      one.value = value;
      return one;
    };
    adapters.replaceChildren(option('', `none: ${model} alone`), ...names.map((name) => option(name, name)));
    adapters.value = names.includes(chosen) ? chosen : '';
  };
};
