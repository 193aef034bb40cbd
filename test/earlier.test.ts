/**
 * @file Folders of an earlier version still load: its runs resume and its configs repeat to its adapter, its sweep continues to its table.
 * `EARLIER=path/to/onnx-lora.js npx vitest run test/earlier.test.ts` writes the fixtures again with the command of another version.
 */

import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadAdapter } from '@onnx-lora/sdk';
import { writeDigits } from './fixtures/digits.ts';

const fixtures = path.join(import.meta.dirname, 'fixtures/earlier');
const vit = path.join(import.meta.dirname, '../docs/examples/models/vit-mnist');
const command = path.join(import.meta.dirname, '../packages/cli/bin/onnx-lora.js');
const earlier = process.env['EARLIER'];

const common = [
  '--model',
  'vit',
  '--data',
  'digits',
  '--steps',
  '8',
  '--batch-size',
  '10',
  '--threads',
  '1',
  '--checkpoint-every',
  '4',
];
/** Settings of the runs, by name. Everything that a checkpoint remembers is in one of them. */
const runs: Readonly<Record<string, readonly string[]>> = {
  lora: [
    '--targets', 'query,value', '--r', '2', '--dora', '--modules-to-save', 'classifier', '--lora-dropout', '0.1', '--schedule', 'cosine',
    '--warmup-steps', '2', '--ema', '0.9', '--clip-norm', '1', '--eval-every', '4', '--load-best', '--set', 'augment=standard', '--lr', '5e-3',
  ],
  ia3: ['--tuner', 'ia3', '--optimizer', 'lion', '--accumulation-steps', '2', '--lr', '1e-2'],
}; // prettier-ignore

let folder = '';
beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-earlier-'));
  cpSync(vit, path.join(folder, 'vit'), { recursive: true });
  writeDigits(path.join(folder, 'digits/train'), { perClass: 2, turned: true });
  writeDigits(path.join(folder, 'digits/test'), { perClass: 2, from: 820, turned: true });
  if (earlier !== undefined) write(earlier);
  cpSync(fixtures, folder, { recursive: true });
}, 300_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function run(program: string, ...words: string[]): void {
  const { status, stderr } = spawnSync(process.execPath, [program, ...words, '--quiet'], {
    cwd: folder,
    encoding: 'utf8',
  });
  expect([status, stderr]).toEqual([0, '']);
}

const sweep = `model: vit
data: digits
steps: 4
batch-size: 10
threads: 1
sweep: { methods: { lora: { r: 2 }, ia3: }, try: { lr: 3e-2 }, seeds: 2 }
`;

interface Journal {
  readonly trials: Record<string, unknown>;
}

/** Results of a sweep, without times and memory. */
function found(file: string): unknown {
  const { metric, base, trials, configurations } = JSON.parse(readFileSync(path.join(folder, file), 'utf8')) as {
    readonly metric: string;
    readonly base: number;
    readonly trials: unknown;
    readonly configurations: readonly {
      readonly method: string;
      readonly score: number;
      readonly scores: unknown;
      readonly trained_parameters: number;
    }[];
  };
  return {
    metric,
    base,
    trials,
    configurations: configurations.map(({ method, score, scores, trained_parameters }) => ({
      method,
      score,
      scores,
      trained_parameters,
    })),
  };
}

/** Writes the fixtures: runs as if stopped after step 4, their final adapters, and a sweep without its last trial. */
function write(program: string): void {
  for (const kept of ['interrupted', 'adapters', 'sweeps'])
    rmSync(path.join(fixtures, kept), { recursive: true, force: true });
  for (const [name, own] of Object.entries(runs)) {
    run(program, 'train', ...common, '--out', `interrupted/${name}`, ...own);
    const out = path.join(folder, 'interrupted', name);
    cpSync(path.join(out, 'adapter'), path.join(fixtures, 'adapters', name), { recursive: true });
    for (const each of ['adapter', 'report.html', 'draws.json', 'checkpoints/step-8'])
      rmSync(path.join(out, each), { recursive: true });
    cpSync(out, path.join(fixtures, 'interrupted', name), { recursive: true });
  }
  const out = path.join(folder, 'sweeps');
  mkdirSync(out);
  writeFileSync(path.join(out, 'sweep.yaml'), sweep);
  run(program, 'sweep', '--config', 'sweeps/sweep.yaml', '--out', 'sweeps/digits');
  cpSync(path.join(out, 'digits/outcome.json'), path.join(out, 'outcome.json'));
  for (const each of ['outcome.json', 'sweep.csv', 'sweep.html']) rmSync(path.join(out, 'digits', each));
  const journal = JSON.parse(readFileSync(path.join(out, 'digits/sweep.json'), 'utf8')) as Journal;
  const last = Object.keys(journal.trials).at(-1)!;
  delete journal.trials[last];
  writeFileSync(path.join(out, 'digits/sweep.json'), JSON.stringify(journal));
  for (const trial of readdirSync(path.join(out, 'digits/trials'))) {
    const gone = trial.endsWith(last) ? '' : 'report.html';
    rmSync(path.join(out, 'digits/trials', trial, gone), { recursive: true });
  }
  cpSync(out, path.join(fixtures, 'sweeps'), { recursive: true });
}

const tensorsOf = async (adapter: string): Promise<[string, number[]][]> =>
  [...(await loadAdapter(path.join(folder, adapter))).tensors].map(([name, { data }]) => [
    name,
    Array.from(data as Float32Array),
  ]);

/** Processors differ in the last bits, which training enlarges. */
async function expectSame(adapter: string, wanted: string): Promise<void> {
  const [found, expected] = await Promise.all([tensorsOf(adapter), tensorsOf(wanted)]);
  expect(found.map(([name]) => name)).toEqual(expected.map(([name]) => name));
  found.forEach(([name, values], i) => {
    const square = (numbers: readonly number[]): number =>
      Math.sqrt(numbers.reduce((sum, each) => sum + each * each, 0));
    const other = expected[i]![1];
    expect(square(values.map((each, k) => each - other[k]!)), name).toBeLessThan(1e-3 * square(other));
  });
}

describe.each(Object.keys(runs))('%s', (name) => {
  it('resumes', async () => {
    run(command, 'train', '--resume', `interrupted/${name}`);
    await expectSame(`interrupted/${name}/adapter`, `adapters/${name}`);
  });

  it('is repeated by its config.yaml', async () => {
    run(command, 'train', '--config', `interrupted/${name}/config.yaml`, '--out', `again/${name}`);
    await expectSame(`again/${name}/adapter`, `adapters/${name}`);
  });
});

it('a sweep continues: finished trials are kept, and the table is the one of a sweep in one go', () => {
  const trials = path.join(folder, 'sweeps/digits/trials');
  const written = (): number[] => kept.map((trial) => statSync(path.join(trials, trial, 'metrics.jsonl')).mtimeMs);
  const kept = readdirSync(trials);
  const before = written();
  run(command, 'sweep', '--config', 'sweeps/sweep.yaml', '--out', 'sweeps/digits');
  expect(kept).toHaveLength(3);
  expect(written()).toEqual(before);
  expect(readdirSync(trials)).toHaveLength(4);
  expect(found('sweeps/digits/outcome.json')).toEqual(found('sweeps/outcome.json'));
});
