/** @file The check of sections: right ones pass, and each mistake is told. */

import { expect, it } from 'vitest';
import type { ReportSection } from '@onnx-lora/sdk/tasks';
import type { FinishedRun, SectionFactory } from '@onnx-lora/sdk/plugin';
import { checkSection } from './checkSection.ts';

function factory(sections: SectionFactory['sections']): SectionFactory {
  return { name: 'mine', sections };
}

const table: ReportSection = { kind: 'table', title: 'Sizes', columns: ['tensor', 'size'], rows: [['a', 1]] };
const points = [{ name: 'loss', points: [[1, 2], [2, 1]] as const }]; // prettier-ignore

it('sections of all kinds pass', async () => {
  const right: { readonly [K in ReportSection['kind']]: Extract<ReportSection, { readonly kind: K }> } = {
    table,
    gallery: { kind: 'gallery', title: 'Cells', pictures: [{ image: Uint8Array.of(137), alt: 'A cell', caption: '' }] },
    clips: { kind: 'clips', title: 'Heard', clips: [{ title: 'a.wav', lines: [] }] },
    scatter: { kind: 'scatter', title: 'Values', x: 'x', y: 'y', series: points },
    lines: { kind: 'lines', title: 'Loss', x: 'step', y: 'loss', series: points },
    histogram: { kind: 'histogram', title: 'Errors', x: 'error', borders: [0, 1, 2], counts: [3, 4] },
    heatmap: { kind: 'heatmap', title: 'Map', x: 'x', y: 'y', rows: ['a'], columns: ['b', 'c'], values: [[1, null]] },
    letters: { kind: 'letters', title: 'Attention', rows: [{ title: 'P1', text: 'MK', values: [0.5, 1] }] },
    logo: { kind: 'logo', title: 'Logo', x: 'x', y: 'y', columns: [{ label: '1', letters: [{ letter: 'M', height: 1 }] }] }, // prettier-ignore
  };
  expect(await checkSection(factory(() => Object.values(right)))).toEqual([]);
});

it('they are told of a finished run, measured and not', async () => {
  const runs: FinishedRun[] = [];
  const mine = factory((run) => {
    runs.push(run);
    return Promise.resolve([table]);
  });
  expect(await checkSection(mine, { task: 'counting', after: { r2: 0.9 } })).toEqual([]);
  const [measured, unmeasured] = runs as [FinishedRun, FinishedRun];
  expect(measured).toMatchObject({ task: 'counting', before: { rmse: 1.4 }, after: { r2: 0.9 } });
  expect([...measured.adapter.tensors.keys()]).toContain('base_model.model.head.lora_A.weight');
  expect(measured.losses).toHaveLength(4);
  expect(Object.keys(measured.model.outputs)).toEqual(['logits']);
  expect(unmeasured).not.toHaveProperty('before');
  expect(unmeasured).not.toHaveProperty('after');
});

it.each<[string, SectionFactory['sections'], string[]]>([
  ['fail', () => { throw new Error('no.'); }, ['sections fails: no.', 'sections of a run without held-out data fails: no.']], // prettier-ignore
  ['fail without metrics', ({ after }) => [{ ...table, text: String(after!['r2']) }], ["sections of a run without held-out data fails: Cannot read properties of undefined (reading 'r2')"]], // prettier-ignore
  ['are none', () => [], ['there is no section of the run: give one that has some']],
  ['are no list', () => table as never, ['sections gives no list', 'sections of a run without held-out data gives no list']], // prettier-ignore
  ['are of no kind', () => [{ ...table, kind: 'pie' } as never], ['"Sizes" is of the unknown kind "pie": kinds are gallery, table, clips, scatter, lines, histogram, heatmap, letters, logo']], // prettier-ignore
  ['have no title', () => [{ ...table, title: ' ' }], ['a section has no title']],
  ['have a cell too few', () => [{ ...table, rows: [['a', 1], ['b']] }], ['"Sizes": row 2 has 1 cells for 2 columns']], // prettier-ignore
  ['hold what is no number', () => [{ ...table, rows: [['a', NaN]] }], ['"Sizes": rows[0][1] is NaN']],
  ['hold what is infinite', () => [{ kind: 'lines', title: 'Loss', x: '', y: '', series: [{ name: '', points: [[1, Infinity]] }] }], ['"Loss": series[0].points[0][1] is Infinity']], // prettier-ignore
  ['have a picture of nothing', () => [{ kind: 'gallery', title: 'Cells', pictures: [{ image: new Uint8Array(), alt: '', caption: 'a' }] }], ['"Cells": picture 1 is empty', '"Cells": picture 1 has no alt']], // prettier-ignore
  ['have a border too few', () => [{ kind: 'histogram', title: 'Errors', x: '', borders: [0, 1], counts: [3, 4] }], ['"Errors": it has 2 borders for 3 ends of bins']], // prettier-ignore
  ['have a value too many', () => [{ kind: 'heatmap', title: 'Map', x: '', y: '', rows: ['a', 'b'], columns: ['c'], values: [[1, 2]] }], ['"Map": it has 1 rows of values for 2 rows', '"Map": row 1 has 2 values for 1 columns']], // prettier-ignore
  ['colour too few letters', () => [{ kind: 'letters', title: 'Attention', rows: [{ title: 'P1', text: 'MKV', values: [1] }] }], ['"Attention": "P1" has 1 values for 3 letters']], // prettier-ignore
])('those that %s are told so', async (_, sections, problems) => {
  expect(await checkSection(factory(sections))).toEqual(problems);
});
