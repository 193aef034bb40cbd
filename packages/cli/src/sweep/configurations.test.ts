/** @file Configurations of a sweep, their settings, and refusals of impossible files. */

import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../fixtures/call.ts';
import { loadPlugins } from '@onnx-lora/sdk';
import { allBuiltinPlugins } from '../plugins/own.ts';
import { folderOf, planSweep, type SweepPlan } from './configurations.ts';
import { readSweepFile } from './sweepFile.ts';

const registry = loadPlugins(await allBuiltinPlugins());

async function planOf(yaml: string): Promise<SweepPlan> {
  const file = path.join(temporaryFolder(), 'sweep.yaml');
  writeFileSync(file, yaml);
  return planSweep(await readSweepFile(file), registry);
}

/** The settings of the first trial of each configuration. */
const settingsOf = ({ configurations }: SweepPlan): unknown[] =>
  configurations.map(({ trials }) => {
    const { seed: _, keepCheckpoints: __, ...settings } = trials[0]!.settings;
    return settings;
  });

describe('a plan', () => {
  it('is a grid of each method', async () => {
    const plan = await planOf(`
steps: 9
sweep:
  methods:
    lora: { r: [4, 8] }
    dora:
    loha: { r: 4, alpha: 2 }
    ia3: { lr: 0.1 }
    wide: { r: 32, targets: [query, [query, value]] }
  try: { lr: [1e-3, 1e-2], set.augment: standard }
  seeds: [3, 5]
`);
    const common = { steps: 9, set: { augment: 'standard' } };
    const loha = '{"name":"loha","r":4,"alpha":2}';
    expect(settingsOf(plan)).toEqual([
      { ...common, r: 4, lr: 1e-3 },
      { ...common, r: 4, lr: 1e-2 },
      { ...common, r: 8, lr: 1e-3 },
      { ...common, r: 8, lr: 1e-2 },
      { ...common, dora: true, lr: 1e-3 },
      { ...common, dora: true, lr: 1e-2 },
      { ...common, tuner: loha, lr: 1e-3 },
      { ...common, tuner: loha, lr: 1e-2 },
      { ...common, tuner: 'ia3', lr: 0.1 },
      ...['query', ['query', 'value']].flatMap((targets) =>
        [1e-3, 1e-2].map((lr) => ({ ...common, r: 32, targets, lr })),
      ),
    ]);
    expect(plan.configurations.slice(0, 9).map(({ name }) => name)).toEqual([
      'lora r 4, lr 0.001',
      'lora r 4, lr 0.01',
      'lora r 8, lr 0.001',
      'lora r 8, lr 0.01',
      'dora lr 0.001',
      'dora lr 0.01',
      'loha lr 0.001',
      'loha lr 0.01',
      'ia3',
    ]);
    expect(plan.configurations.at(-1)!.name).toBe('wide targets query+value, lr 0.01');
    expect(plan.configurations[0]!.trials.map(({ seed, settings }) => [seed, settings.seed])).toEqual([[3, 3], [5, 5]]); // prettier-ignore
    expect(plan.baseline).toBe('lora');
    const trials = plan.configurations.flatMap((each) => each.trials.map((trial) => folderOf(each, trial)));
    expect(new Set(trials).size).toBe(26);
    expect(trials[1]).toMatch(/^lora-r-4-lr-0\.001-seed-5-[0-9a-f]{10}$/);
  });

  it('takes a tuner and an optimizer with settings as they are written', async () => {
    const plan = await planOf(`sweep: { try: { tuner: [null, ia3, { name: loha, r: 2 }], optimizer: [sgd, { name: sgd, momentum: 0.9 }] } }`); // prettier-ignore
    const momentum = '{"name":"sgd","momentum":0.9}';
    expect(settingsOf(plan)).toEqual(
      [{}, { tuner: 'ia3' }, { tuner: '{"name":"loha","r":2}' }].flatMap((own) => [
        { ...own, optimizer: 'sgd' },
        { ...own, optimizer: momentum },
      ]),
    );
  });

  it('has the same trials whatever stands beside them', async () => {
    const ids = async (methods: string): Promise<string[]> =>
      (await planOf(`r: 4\nsweep: { methods: ${methods}, seeds: 2 }`)).configurations.flatMap(({ trials }) => trials.map(({ id }) => id)); // prettier-ignore
    const few = await ids('[lora]');
    const more = await ids('{ dora: {}, lora: { } }');
    expect(more).toHaveLength(4);
    expect(more.slice(2)).toEqual(few);
  });

  it('has folds where they are asked for, and without methods one', async () => {
    const plan = await planOf(
      `set: { columns.split: part }\ntuner: loha\nseed: 7\nsweep: { folds: 3, try: { lr: 1e-3 } }`,
    );
    expect(plan.methods).toEqual(['loha']);
    expect(plan.configurations[0]!.trials.map(({ seed, fold, settings }) => [seed, fold, settings.set])).toEqual(
      [0, 1, 2].map((fold) => [7, fold, { 'columns.split': 'part', fold }]),
    );
  });

  it('is drawn, each method apart, the same ones each time', async () => {
    const random = (methods: string): Promise<SweepPlan> =>
      planOf(`sweep: { methods: ${methods}, search: random, draws: 40, try: { lr: { from: 1e-4, to: 1e-2, scale: log }, batch-size: { from: 1, to: 3 }, r: [2, 4] } }`); // prettier-ignore
    const plan = await random('[lora, dora]');
    const lora = plan.configurations.filter(({ method }) => method === 'lora').map(({ trials }) => trials[0]!.settings);
    expect(lora).toHaveLength(40);
    expect(plan.configurations).toHaveLength(80);
    const rates = lora.map(({ lr }) => lr!);
    expect(Math.min(...rates)).toBeGreaterThanOrEqual(1e-4);
    expect(Math.max(...rates)).toBeLessThanOrEqual(1e-2);
    // Half lie below the middle of the logarithm.
    expect(rates.filter((lr) => lr < 1e-3).length).toBeGreaterThan(10);
    expect(new Set(lora.map(({ batchSize }) => batchSize))).toEqual(new Set([1, 2, 3]));
    expect(new Set(lora.map(({ r }) => r))).toEqual(new Set([2, 4]));
    const alone = await random('[lora]');
    expect(alone.configurations.map(({ name }) => name)).toEqual(plan.configurations.slice(0, 40).map(({ name }) => name)); // prettier-ignore
    // There are no more than six.
    expect((await planOf('sweep: { search: random, draws: 40, try: { lr: [1, 2, 3], r: [1, 2] } }')).configurations).toHaveLength(6); // prettier-ignore
  });
});

it.each([
  ['steps: 3', 'has no key "sweep" with the configurations to try'],
  [
    'sweep: { methods: [lohaa] }',
    '"lohaa", but that is not a method, and it has no settings here. Did you mean "loha"',
  ],
  ['sweep: { methods: { lora: 4 } }', '"sweep.methods" in "FILE" must be names, or names with settings'],
  ['sweep: { try: { rate: 3 } }', '"FILE" has the unknown key "rate".'],
  ['sweep: { try: { lr: [1, fast] } }', '"sweep.try.lr" in "FILE" must be a number above 0, but it is "fast".'],
  ['sweep: { methods: { lora: { r: 0.5 } } }', '"sweep.methods.lora.r" in "FILE" must be a whole number'],
  ['sweep: { try: { lr: [] } }', '"sweep.try.lr" in "FILE" is an empty list.'],
  ['sweep: { try: { seed: [1, 2] } }', '"sweep.try.seed" in "FILE" cannot be tried. Seeds are in sweep.seeds.'],
  ['sweep: { try: { data: [a, b] } }', '"sweep.try.data" in "FILE" cannot be tried. Trials of other data cannot be compared'], // prettier-ignore
  ['sweep: { try: { lr: { from: 1, to: 2 } } }', '"sweep.try.lr" in "FILE" is a range, from which values are drawn. Add search: random'], // prettier-ignore
  ['sweep: { search: random, draws: 2, try: { lr: { from: 2, to: 1 } } }', 'must be from a number to a larger one. Correct it.'], // prettier-ignore
  ['sweep: { search: random }', 'asks for random search, and not how many: add sweep.draws.'],
  ['sweep: { draws: 3 }', 'is for random search or halving, and this is a grid.'],
  ['sweep: { factor: 3 }', '"sweep.factor" in "FILE" is for halving, and this is grid.'],
  ['sweep: { search: best }', '"sweep.search" in "FILE" must be one of grid, random, halving, but it is "best".'],
  ['sweep: { seeds: [1, 1] }', '"sweep.seeds" in "FILE" must be how many there are, or a list of seeds, none twice'],
  [
    'sweep: { baseline: dora, methods: [lora, loha] }',
    '"sweep.baseline" in "FILE" is "dora", but the sweep has no such method.',
  ],
  ['sweep: { try: { r: [4, 4] } }', '"lora r 4" and "lora r 4" of "FILE" are the same settings. Remove one.'],
  ['sweep: { minuts: 3 }', '"sweep" in "FILE" has no setting "minuts". Did you mean "minutes"?'],
])('%s is refused', async (yaml, message) => {
  const file = path.join(temporaryFolder(), 'sweep.yaml');
  writeFileSync(file, yaml);
  const planned = readSweepFile(file).then((read) => planSweep(read, registry));
  await expect(planned).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  await expect(planned).rejects.toThrow(message.replaceAll('FILE', file));
});
