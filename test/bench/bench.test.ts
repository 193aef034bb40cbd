/** @file The benchmark runs to its end at small sizes, and writes what docs/performance.md says it writes. */

import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { openOnnx, readFloats, writeOnnx } from '@onnx-lora/sdk/plugin';
import { build } from 'vite';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { vitModel } from '../fixtures/vit.ts';
import { gpuMb, gpuNames } from './gpu.ts';
import { type LargeModel, writeLargeAdapter, writeLargeModel } from './largeModel.ts';
import { whyNotBeside } from './peft.ts';
import type { BenchReport } from './report.ts';
import { quickSizes } from './settings.ts';
import { sources } from '../support/sources.ts';
import { runChild } from './spawn.ts';
import { median, pairedRatio } from './statistics.ts';
import { windowLines, type WindowResult } from './windows.ts';
import { isNightly } from '../support/nightly.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

// Among the other build output: there the program finds its packages, and git does not.
const dist = path.join(root, 'test/dist');
let folder = '';
beforeAll(async () => {
  mkdirSync(dist, { recursive: true });
  folder = mkdtempSync(path.join(dist, 'bench-test-'));
  await build({
    root,
    configFile: false,
    logLevel: 'error',
    resolve: { alias: sources },
    build: { ssr: path.join(root, 'test/bench/main.ts'), outDir: folder, emptyOutDir: false },
  });
}, 60_000);
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

async function bench(...args: string[]): Promise<{ code: number; stdout: string }> {
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [path.join(folder, 'main.js'), ...args]);
    return { code: 0, stdout };
  } catch (error) {
    return error as { code: number; stdout: string };
  }
}

const figures = {
  medianMs: expect.any(Number) as number,
  minMs: expect.any(Number) as number,
  timesMs: Array.from({ length: quickSizes.rounds }, () => expect.any(Number) as number),
  peakMb: expect.any(Number) as number,
};

describe('the command', () => {
  it.runIf(isNightly)('sends a load to a server, and draws the answers', async () => {
    const pictures = path.join(folder, 'pictures');
    const { code, stdout } = await bench('--serve', '--quick', '--pictures', pictures);
    expect(code).toBe(0);
    expect(stdout).toMatch(/20 adapters ÷ one \d+\.\d\d, ÷ one client \d+\.\d\d, ÷ plain loop \d+\.\d\d/);
    expect(stdout).toMatch(/\/s: one adapter \d+\.\d \d+\.\d/);
    expect(stdout).toMatch(/an adapter that was never asked for \d+\.\d ms/);
    const drawn = readFileSync(path.join(pictures, 'serving-texts-dark.svg'), 'utf8');
    expect(drawn).toMatch(/^<svg [^]*answers per second[^]*<path d="M[\d. L]+"[^]*<\/svg>\n$/);
  });

  it('prints a table and writes the figures', async () => {
    const out = path.join(folder, 'report.json');
    const { code, stdout } = await bench('--quick', '--threads', '1', '--out', out, '--peft', '/nonexistent/python');
    expect(stdout).toMatch(/^base forward( +\d+\.\d){2} +1\.00 +\d+$/m);
    expect(stdout).toMatch(/^training step \(all linear\)( +\d+\.\d){2} +\d+\.\d\d +\d+$/m);
    expect(code).toBe(0);
    const report = JSON.parse(readFileSync(out, 'utf8')) as BenchReport;
    expect(report).toEqual({
      machine: {
        cpu: expect.any(String) as string,
        cores: expect.any(Number) as number,
        memoryMb: expect.any(Number) as number,
        platform: `${process.platform} ${process.arch}`,
        node: process.version,
        onnxruntime: '1.30',
      },
      settings: { ...quickSizes, provider: 'cpu', threads: 1 },
      onnxLora: {
        cases: {
          base: figures,
          lora: figures,
          swap: figures,
          mixed: figures,
          newlyMixed: figures,
          allLinear: figures,
          mixedAllLinear: figures,
          step: figures,
          allLinearStep: figures,
        },
        ratios: {
          loraToBase: expect.any(Number) as number,
          stepToBase: expect.any(Number) as number,
          allLinearStepToBase: expect.any(Number) as number,
          allLinearToBase: expect.any(Number) as number,
          mixedToSingle: expect.any(Number) as number,
          newlyMixedToSingle: expect.any(Number) as number,
          mixedToSingleAllLinear: expect.any(Number) as number,
        },
        swapMs: expect.any(Number) as number,
        addMs: expect.any(Number) as number,
        idlePeakMb: expect.any(Number) as number,
        opening: ['external', 'inline'].map((weights) => ({
          weights,
          nodes: 4000,
          bytes: expect.any(Number) as number,
          modules: 1000,
          ms: expect.any(Number) as number,
          grownMb: expect.any(Number) as number,
        })),
      },
      peft: { skipped: expect.stringContaining('/nonexistent/python') as string },
    });
    const { cases, idlePeakMb } = report.onnxLora;
    // A process with a session holds more than one without.
    expect(cases.base.peakMb).toBeGreaterThan(idlePeakMb);
    expect(cases.base.minMs).toBeLessThanOrEqual(cases.base.medianMs);
    expect(stdout).toContain('PEFT is left out: ');
  }, 120_000);

  it.each([['--threads', '0'], ['--model', 'vit-x'], ['--nonsense'], ['stray']])(
    'exits with 2 for %s %s',
    async (...args) => {
      expect(await bench(...args.filter(Boolean))).toMatchObject({ code: 2 });
    },
  );

  it('tells a mistake that a child meets in one line', async () => {
    const { code, stdout } = await bench('--quick', '--provider', 'cudo');
    expect(code).toBe(2);
    expect(stdout).toMatch(/^There is no provider "cudo"\. Did you mean "cuda"\?.*\n$/);
  });

  // A software driver takes minutes to compile the programs of a step.
  it.skipIf(!isNightly || process.platform === 'win32')(
    'times steps on a GPU in both precisions, and says that torch sees none',
    async (context) => {
      const { graph, ...model } = vitModel({ hidden: 192, layers: 2, heads: 3, image: 32, patch: 8, classes: 100 });
      const output = { opType: 'Identity', input: [graph!.output![0]!.name!], output: ['output'] };
      const exported = path.join(folder, 'exported.onnx');
      const graphOf = { ...graph, node: [...graph!.node!, output], output: [{ ...graph!.output![0], name: 'output' }] };
      writeOnnx(exported, { ...model, graph: graphOf });
      const python = path.join(folder, 'python');
      const versions = JSON.stringify({ torch: '2.13.0+cpu', transformers: '5', peft: '0.21' });
      const lines = ['#!/bin/sh', `if [ "$2" = versions ]; then echo '${versions}'`, `else cp '${exported}' "$4"; echo '{}'; fi`];
      writeFileSync(python, lines.join('\n'), { mode: 0o755 });
      const { code, stdout } = await bench('--quick', '--provider', 'webgpu', '--training', '', '--peft', python);
      if (stdout.includes('"webgpu" does not work on this machine')) context.skip(stdout);
      expect(stdout).toContain('PEFT is left out: torch 2.13.0+cpu sees no GPU.');
      expect(stdout).toMatch(/^\| vit-tiny +\| q,v +\| float32 +\| +[\d,]+ \| +1\.00 \| +– \| +– \|/m);
      expect(stdout).toMatch(/^\| vit-tiny +\| q,v +\| float16 +\| +[\d,]+ \| +\d+\.\d\d \| +– \| +– \|/m);
      expect(code).toBe(0);
    },
    300_000,
  ); // prettier-ignore

  it('finds its Python script', () => {
    expect(existsSync(path.join(folder, '../../bench/peft_on_torch.py'))).toBe(true);
  });
});

describe('large models', () => {
  const program = (): string => path.join(folder, 'main.js');
  function sparseModel(model: LargeModel): { readonly file: string; readonly folder: string } {
    const place = mkdtempSync(path.join(tmpdir(), 'onnx-lora-large-'));
    onTestFinished(() => rmSync(place, { recursive: true }));
    return { file: writeLargeModel(place, model), folder: place };
  }

  it.each<LargeModel>([
    { nodes: 4000, bytes: 5e9, weights: 'external' },
    { nodes: 40, bytes: 1.2e9, weights: 'inline' },
  ])('of $bytes bytes, $weights, are opened without being read', async (model) => {
    const { file } = sparseModel(model);
    if (model.weights === 'inline') expect(statSync(file).size).toBeGreaterThan(1e9);
    const found = await runChild(program(), { open: file });
    expect(found).toMatchObject({ modules: model.nodes / 4 });
    // 4000 nodes take this much of 5 GB.
    expect((found as { grownMb: number }).grownMb).toBeLessThan(100);
  });

  // Gigabytes take half a minute on a slow disk; with LARGE_FILES=1 a file beyond what a 32-bit offset reaches is written.
  it.each([{ bytes: 3e8, inlineLimit: 1e8 }, ...(process.env['LARGE_FILES'] === '1' ? [{ bytes: 2.2e9 }] : [])])(
    'beyond what one file holds are written piece by piece: $bytes bytes',
    async ({ bytes, ...limit }) => {
      const { file, folder: place } = sparseModel({ nodes: 400, bytes, weights: 'external' });
      const out = path.join(place, 'out.onnx');
      const found = await runChild(program(), { open: file, write: out, ...limit });
      expect(found).toMatchObject({ files: [out, `${out}.data`] });
      expect(statSync(`${out}.data`).size).toBeGreaterThan(0.99 * bytes);
      expect((found as { grownMb: number }).grownMb).toBeLessThan(100);
    },
    120_000,
  );

  it('take an adapter into every weight, one weight at a time', async () => {
    const isThorough = process.env['LARGE_FILES'] === '1';
    const { file, folder: place } = sparseModel({ nodes: 400, bytes: isThorough ? 3.3e9 : 4e8, weights: 'external' });
    const adapter = path.join(place, 'adapter');
    await writeLargeAdapter(adapter, file);
    const out = path.join(place, 'out.onnx');
    const found = await runChild(program(), { open: file, write: out, merge: adapter });
    // Beyond 2 GB weights go beside the .onnx file by themselves.
    expect(found).toMatchObject({ files: isThorough ? [out, `${out}.data`] : [out] });
    expect((found as { grownMb: number }).grownMb).toBeLessThan(250);
    const { model } = openOnnx(out);
    const weight = model.graph.initializer!.find(({ name }) => name === 'encoder.layer.99.dense.weight')!;
    // B·A of rank 4 with 0.01 everywhere, on a base of zeros.
    expect(new Set(readFloats(weight))).toEqual(new Set([Math.fround(4e-4)]));
  }, 300_000);
});

describe('GPUs', () => {
  it.skipIf(process.platform === 'win32')('hold what nvidia-smi says, all together', async () => {
    const before = process.env['PATH'];
    onTestFinished(() => {
      process.env['PATH'] = before;
    });
    const place = mkdtempSync(path.join(tmpdir(), 'onnx-lora-smi-'));
    process.env['PATH'] = place;
    expect([await gpuMb(), await gpuNames()]).toEqual([undefined, undefined]);
    const lines = ['#!/bin/sh', 'case "$1" in *memory*) echo 1024; echo 512;; *) echo "NVIDIA L4, 550.1";; esac'];
    writeFileSync(path.join(place, 'nvidia-smi'), lines.join('\n'), { mode: 0o755 });
    expect([await gpuMb(), await gpuNames()]).toEqual([1536, 'NVIDIA L4, 550.1']);
  });

  it('are where PEFT is timed, for a provider of one', () => {
    const peft = { python: 'python', script: '', versions: { torch: '2.13.0+cpu' } };
    expect(whyNotBeside('cpu', peft)).toBeUndefined();
    expect(whyNotBeside('webgpu', peft)).toBe('torch 2.13.0+cpu sees no GPU');
    expect(whyNotBeside('cuda', { ...peft, versions: { torch: '2.13.0', gpu: 'NVIDIA L4' } })).toBeUndefined();
  });
});

describe('statistics', () => {
  it('the median of an even number is the mean of the middle two', () => {
    expect(median([5, 1, 3])).toBe(3);
    expect(median([4, 1, 3, 10])).toBe(3.5);
  });

  it('ratios are taken round by round', () => {
    // The machine was ten times slower in the second round.
    expect(pairedRatio([2, 20, 3], [1, 10, 1])).toBe(2);
  });

  it('windows are compared where both were trained, clip by clip over all seeds', () => {
    const result = (variant: string, seed: number, edits: readonly number[]): WindowResult => ({
      variant,
      seed,
      fold: 0,
      seconds: 1,
      cpu: 2,
      clips: edits.map((each, i) => ({ clip: `${i}`, edits: each, characters: 5, wordEdits: each, words: 2 })),
    });
    const lines = windowLines([
      result('full', 0, [1, 1]),
      result('full', 1, [0, 2]),
      result('default', 1, [1, 2]),
      result('default', 0, [2, 1]),
      result('default', 2, [5, 5]),
    ]);
    // Two more edits in one of two recordings, of 20 characters: none, one or two times it is drawn.
    expect(lines.slice(2)).toEqual([
      '| default | 3 | 53.3% | 133.3% | 2 | 10.00 (0.00 to 20.00) | 2 |',
      '| full | 2 | 20.0% | 50.0% | 0 | – | 2 |',
    ]);
  });
});
