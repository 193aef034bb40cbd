/** @file A run that is killed again and again ends with the bytes of one that never was. */

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { build } from 'vite';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { golden, mlp } from '../../../fixtures/inits/mlp.ts';
import { writeOnnx } from '../../graph/file/onnxFile.ts';
import { Random } from '../../runtime/random.ts';
import { isNightly } from '../../../../../test/support/nightly.ts';

/** How often the run is killed: in the middle of an operation on files, and at any time. */
const KILLS = isNightly ? { inFiles: 16, anyTime: 16 } : { inFiles: 8, anyTime: 6 };

let program = '';
let folder = '';
beforeAll(async () => {
  // Among the build's output, where it finds onnxruntime-node and git finds nothing.
  const dist = path.join(import.meta.dirname, '../../../dist');
  mkdirSync(dist, { recursive: true });
  folder = mkdtempSync(path.join(dist, 'kill-test-'));
  await build({
    configFile: false,
    logLevel: 'error',
    build: {
      ssr: path.join(import.meta.dirname, '../../../fixtures/trainUntilKilled.ts'),
      outDir: folder,
      target: 'node20',
    },
  });
  program = path.join(folder, 'trainUntilKilled.js');
  const { model } = mlp((layer) => golden(`base.${layer}.weight`));
  writeOnnx(path.join(folder, 'model.onnx'), model);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Ending {
  readonly signal: NodeJS.Signals | null;
  readonly code: number | null;
  readonly lines: readonly string[];
  readonly stderr: string;
}

/** Runs the program to its end, or until it has been killed. */
function once(
  run: string,
  { killAt, watch }: { killAt?: number; watch?: (child: ChildProcess, line: string) => void },
) {
  const words = [program, path.join(folder, 'model.onnx'), run, ...(killAt === undefined ? [] : [String(killAt)])];
  const child = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'pipe'] });
  const lines: string[] = [];
  let stderr = '';
  child.stderr.on('data', (text: Buffer) => (stderr += text.toString()));
  createInterface({ input: child.stdout }).on('line', (line) => {
    lines.push(line);
    watch?.(child, line);
  });
  return new Promise<Ending>((resolve) => {
    child.on('close', (code, signal) => resolve({ code, signal, lines, stderr }));
  });
}

const bytesOf = (run: string): Buffer =>
  Buffer.concat(
    ['adapter_model.safetensors', 'adapter_config.json'].map((name) => readFileSync(path.join(run, 'final', name))),
  );
const resultOf = ({ lines }: Ending): unknown => {
  const { seconds: _, ...result } = JSON.parse(lines.at(-1)!.slice('end '.length)) as Record<string, unknown>;
  return result;
};

it('SIGKILL at any moment, also within a checkpoint, changes nothing', { timeout: 300_000 }, async () => {
  const whole = path.join(folder, 'whole');
  const uninterrupted = await once(whole, {});
  expect(uninterrupted).toMatchObject({ code: 0, stderr: '' });
  const expected = { bytes: bytesOf(whole), result: resultOf(uninterrupted) };

  const random = new Random(7);
  let kills = 0;
  let finished = 0;
  let resumed = 0;
  for (let attempt = 0; kills < KILLS.inFiles + KILLS.anyTime; attempt++) {
    const run = path.join(folder, `killed-${finished}`);
    const inFiles = kills < KILLS.inFiles;
    const delay = random.uniform(0, 250);
    const ending = await once(
      run,
      inFiles
        ? { killAt: random.index(60) }
        : {
            watch: (child, line) => {
              if (line.startsWith('begin')) setTimeout(() => child.kill('SIGKILL'), delay);
            },
          },
    );
    if (ending.lines[0] !== undefined && ending.lines[0] !== 'begin 0') resumed++;
    if (ending.signal === 'SIGKILL') kills++;
    else finished += held(run, ending, expected);
  }
  const run = path.join(folder, `killed-${finished}`);
  const last = await once(run, {});
  finished += held(run, last, expected);
  // Going on from its end gives the same once more.
  held(run, await once(run, {}), expected);
  expect(finished).toBeGreaterThan(0);
  expect(resumed).toBeGreaterThan(10);
  // Only whole checkpoints are left, and no more than are to be kept.
  expect(readdirSync(path.join(run, 'checkpoints')).sort()).toEqual(['step-58', 'step-60']);
});

function held(run: string, ending: Ending, { bytes, result }: { bytes: Buffer; result: unknown }): number {
  expect(ending).toMatchObject({ code: 0, stderr: '' });
  expect(bytesOf(run).equals(bytes)).toBe(true);
  expect(resultOf(ending)).toEqual(result);
  return 1;
}
