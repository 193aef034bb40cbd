// Charts over time, as SVG: lines from the oldest value on the left to the latest.
/* oxlint-disable no-unused-vars -- used by the scripts behind it, all of which are one on the page */

const drawn = (name, attributes) => {
  const made = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  return made;
};

const HEIGHT = 40;

// The points of a line, in pieces: where there is no value there is no line.
const pieces = (values, heightOf) => {
  const found = [[]];
  values.forEach((value, i) => {
    if (value === null) found.push([]);
    else found.at(-1).push([i, heightOf(value)]);
  });
  // A value between two that are not there is seen, too.
  return found.filter((each) => each.length > 0).map((each) => (each.length > 1 ? each : [[each[0][0] - 0.4, each[0][1]], [each[0][0] + 0.4, each[0][1]]])); // prettier-ignore
};

// A series is a name, the class of its line, and its values, null where there is none. The scale begins at 0.
const chart = (heading, since, series, written) => {
  const length = series[0].values.length;
  const most = Math.max(0, ...series.flatMap(({ values }) => values));
  const heightOf = (value) => HEIGHT - 1 - (most === 0 ? 0 : (value / most) * (HEIGHT - 2));
  const latest = series.map(({ name, values }) => `${name} ${written(values.at(-1) ?? 0)}`).join(', ');
  const svg = drawn('svg', { viewBox: `0 0 ${length - 1} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img', 'aria-label': `${heading}, from ${since} on: at most ${written(most)}; now ${latest}` }); // prettier-ignore
  for (const { className, values } of series.filter((each) => each.values.some((value) => value > 0)))
    for (const points of pieces(values, heightOf))
      svg.append(drawn('polyline', { points: points.map(([x, y]) => `${x},${y.toFixed(2)}`).join(' '), class: className, 'vector-effect': 'non-scaling-stroke' })); // prettier-ignore
  const names = series.map(({ name, className }) => element('span', `line ${className}`, name));
  return element(
    'figure',
    '',
    element(
      'figcaption',
      '',
      element('span', '', heading),
      element('span', 'names', ...(series.length > 1 ? names : [])),
    ),
    element('div', 'quiet small', most === 0 ? 'none' : `at most ${written(most)}`),
    svg,
    element('div', 'quiet small ends', element('span', '', since), element('span', '', 'now')),
  );
};

// A server's last half hour, in spans of ten seconds; less of one that began since, but not less than five minutes.
const charts = (history, uptime) => {
  const shown = history.slice(-Math.max(30, Math.ceil(uptime / 10) + 1));
  const since = `${Math.round(shown.length / 6)} min ago`;
  const outcomes = ['answered', 'refused', 'failed'];
  const meanOf = (each) => (outcomes.some((name) => each[name] > 0) ? each.mean : null);
  return element(
    'div',
    'charts',
    chart(
      'Requests a second',
      since,
      outcomes.map((name) => ({ name, className: name, values: shown.map((each) => each[name] / 10) })),
      (value) => value.toFixed(1),
    ),
    chart(
      'Milliseconds of a request, mean',
      since,
      [{ name: 'mean', className: 'answered', values: shown.map(meanOf) }],
      milliseconds,
    ),
  );
};
