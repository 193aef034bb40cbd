/** @file The SDK passes the small cases, and the runner catches faults: each fails the checks that it should, no others. */

import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { float32, type PrecisionName, type Runtime, type Tensor } from '@onnx-lora/sdk';
import { readSafetensors, writeSafetensors } from '@onnx-lora/sdk/data';
import { openOnnx, writeOnnx } from '@onnx-lora/sdk/plugin';
import { checkNames, type CheckReport, conformance } from '@onnx-lora/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { faultyRuntime } from '../support/faultyRuntime.ts';
import { integersAreExact } from '../support/integerProducts.ts';
import { conformanceCommand } from './command.ts';

const cases = fileURLToPath(new URL('../fixtures/cases', import.meta.url));
const everyCheck = [...checkNames];
let scratch = '';

beforeAll(() => {
  scratch = mkdtempSync(path.join(tmpdir(), 'onnx-lora-conformance-test-'));
});
afterAll(() => {
  rmSync(scratch, { recursive: true, force: true });
});

async function run(folder: string, runtime?: Runtime): Promise<readonly CheckReport[]> {
  return (await conformance(folder, runtime ? { runtime } : {})).checks;
}

function failedChecks(reports: readonly CheckReport[]): string[] {
  return reports.filter(({ status }) => status === 'failed').map(({ check }) => check);
}

function detailOf(reports: readonly CheckReport[], check: string): string | undefined {
  return reports.find((report) => report.check === check)?.detail;
}

describe('the SDK agrees with PEFT', () => {
  it.each([
    'vit-v4',
    'vit-dynamo-v5',
    'vit-dora-v4',
    'lora-linear',
    'lora-modules-to-save',
    'lora-bias-only',
    'lora-lora-bias',
    'lora-conv2d-dilated',
    'lora-dora-conv2d',
    'lora-dropout',
    'lora-dora-embedding',
    'lora-bias-all',
    'lora-target-parameters',
    // One of the stacked experts is taken per token and chosen expert.
    'mixtral-target-parameters-v5',
    // PEFT trains whole rows, in the same memory under two names, and differentiates only half of the delta.
    'lora-trainable-tokens',
    'lora-tied-embeddings-ensured',
    'lora-mha',
    // Biases of a replaced head are in the file three times, of the head that was replaced as well.
    'esm-bias-all-v5',
    // Positions as a table of biases that all layers read.
    't5-encoder-v5',
    // A joint projection behind its norm, a gated feed-forward layer.
    'esmc-dynamo',
    // Linear attention.
    'molformer',
    // Queries that are padding see nothing: softmax gives equal weights, through which no gradient may go.
    'deberta-v5',
    // Attention over alignments and over pairs of residues.
    'evoformer',
    'esmfold-dynamo',
  ])('in %s', async (name) => {
    const reports = await run(path.join(cases, name));
    expect(reports.map(({ check, status, detail }) => [check, status, status === 'passed' ? '' : detail])).toEqual(
      everyCheck.map((check) => [check, 'passed', '']),
    );
  });
});

/** The check of gradients alone, with products in a precision. */
async function inPrecision(precision: PrecisionName, folder: string): Promise<readonly (string | undefined)[]> {
  const { checks } = await conformance(folder, { precision });
  return [checks.map(({ check }) => check).join(), checks[0]!.status, checks[0]!.detail];
}

/** Cases of what products are: of several ranks, with norms of weights, tables, biases. */
const products = ['vit-v4', 'vit-dora-v4', 'lora-trainable-tokens', 't5-encoder-v5', 'deberta-v5', 'evoformer'];

describe("gradients through products of integers point where PEFT's do", () => {
  it.each(products)('in %s', async (name) => {
    const [checks, status, detail] = await inPrecision('int8-backward', path.join(cases, name));
    expect([checks, status]).toEqual(['gradients', 'passed']);
    expect(detail).toMatch(/^least cosine (0\.99[5-9]\d|1\.0000), loss off by 0\.00%, (\d+) of \2 products$/);
  });
});

// On the CPU, ONNX Runtime computes in float32 what is stored in float16: weights are rounded, sums are not.
describe("gradients through products in float16 point where PEFT's do", () => {
  it.each([...products, 'lora-conv2d-dilated', 'lora-mha'])('in %s', async (name) => {
    const [checks, status, detail] = await inPrecision('float16', path.join(cases, name));
    expect([checks, status]).toEqual(['gradients', 'passed']);
    expect(detail).toMatch(/^least cosine (0\.999\d|1\.0000), loss off by 0\.\d\d%, (\d+) of \2 products$/);
  });
});

/** Cases without PEFT's gradients: torch has no such graph. */
const quantized = ['bert-nbits4-qdq', 'bert-int8-dynamic', 'vit-qoperator-static'];

/** The checks of what needs no training. */
const inference = ['discover', 'base', 'load', 'forward', 'save', 'merge'];

describe('layers are found, served and merged, and gradients pass fused operators', () => {
  it.each([
    // Attention, whose packed projections have lost their names.
    'bert-fused-ortopt',
    // Projections that an optimizer joined into one product.
    'vit-onnxsim-v4',
    // Modules that are called several times, which the exporter numbers.
    'albert-shared-v4',
    // Scopes of the exporter that lack what the parameters' names begin with.
    'opt-v4',
    'bert-nbits4-qdq',
    // PEFT's numbers are of exact products.
    ...(integersAreExact ? ['bert-int8-dynamic'] : []),
    'vit-qoperator-static',
  ])('in %s', async (name) => {
    const reports = await run(path.join(cases, name));
    const found = reports.filter(({ check }) => inference.includes(check));
    expect(found.map(({ check, status, detail }) => [check, status, status === 'passed' ? '' : detail])).toEqual(
      inference.map((check) => [check, 'passed', '']),
    );
    const gradients = reports.find(({ check }) => check === 'gradients');
    expect(gradients).toMatchObject({ status: quantized.includes(name) ? 'not applicable' : 'passed' });
  });
});

function times(tensor: Tensor, factor: number): Tensor {
  return float32(
    Float32Array.from(tensor.data as Float32Array, (value) => factor * value),
    tensor.dims,
  );
}

/** The values of the transpose, in the shape of the original: a matrix that was not transposed when it should be. */
function untransposed({ data, dims }: Tensor): Tensor {
  // Sessions are fed banks, several matrices one behind the other.
  const [rows, columns] = dims.slice(-2) as [number, number];
  return float32(
    Array.from(data as Float32Array, (_, i) => {
      const at = i % (rows * columns);
      return data[i - at + (at % rows) * columns + Math.floor(at / rows)] as number;
    }),
    dims,
  );
}

describe('a fault in what computes is caught', () => {
  const linear = path.join(cases, 'lora-linear');

  it('without a fault, nothing fails', async () => {
    expect(failedChecks(await run(linear, faultyRuntime({})))).toEqual([]);
  });

  it('a gradient with the wrong sign', async () => {
    let gradient: string | undefined;
    const reports = await run(
      linear,
      faultyRuntime({
        output(name, tensor) {
          if (name.startsWith('grad/')) gradient ??= name;
          return name === gradient ? times(tensor, -1) : tensor;
        },
      }),
    );
    expect(failedChecks(reports)).toEqual(['gradients', 'train']);
    expect(detailOf(reports, 'gradients')).toMatch(/^base_model\.model\.layers\.\S+\.lora_[AB]\.weight at \d+ is /);
  });

  it('a gradient that is 1 % too large', async () => {
    const output = (name: string, tensor: Tensor): Tensor => (name.startsWith('grad/') ? times(tensor, 1.01) : tensor);
    // Adam divides by the gradient's size, so that training hardly notices.
    expect(failedChecks(await run(linear, faultyRuntime({ output })))).toEqual(['gradients']);
  });

  it('a gradient in the wrong layout', async () => {
    const output = (name: string, tensor: Tensor): Tensor =>
      name.startsWith('grad/') && tensor.dims.length === 2 ? untransposed(tensor) : tensor;
    expect(failedChecks(await run(linear, faultyRuntime({ output })))).toEqual(['gradients', 'train']);
  });

  it('a wrong scale', async () => {
    const feed = (name: string, tensor: Tensor): Tensor =>
      name.endsWith('.lora_B.weight') ? times(tensor, 2) : tensor;
    expect(failedChecks(await run(linear, faultyRuntime({ feed })))).toEqual([
      'forward',
      'loss',
      'gradients',
      'train',
      'merge',
    ]);
  });

  it('an adapter in the wrong layout', async () => {
    const feed = (name: string, tensor: Tensor): Tensor =>
      name.endsWith('.lora_A.weight') ? untransposed(tensor) : tensor;
    expect(failedChecks(await run(linear, faultyRuntime({ feed })))).toEqual([
      'forward',
      'loss',
      'gradients',
      'train',
      'merge',
    ]);
  });

  it('a model that computes something else', async () => {
    const output = (name: string, tensor: Tensor): Tensor => (name === 'logits' ? times(tensor, 1.1) : tensor);
    const reports = await run(linear, faultyRuntime({ output }));
    // The training graph does not yield logits, so that gradients are right.
    expect(failedChecks(reports)).toEqual(['base', 'forward', 'loss', 'train']);
  });
});

describe('a case that says otherwise is caught', () => {
  /** A copy of a case, to alter. */
  function copyOf(name: string): string {
    const folder = path.join(mkdtempSync(path.join(scratch, 'case-')), name);
    cpSync(path.join(cases, name), folder, { recursive: true });
    return folder;
  }

  function editJson(file: string, edit: (json: Record<string, unknown>) => void): void {
    const json = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
    edit(json);
    writeFileSync(file, JSON.stringify(json));
  }

  async function editTensors(file: string, edit: (tensors: Map<string, Tensor>) => void): Promise<void> {
    const { tensors, metadata } = await readSafetensors(file);
    edit(tensors);
    await writeSafetensors(file, tensors, metadata);
  }

  /** Takes from the graph what tells a layer's torch path. */
  function hideModule(folder: string, module: string): void {
    const file = path.join(folder, 'model.onnx');
    const { model } = openOnnx(file);
    const scope = `/${module.replaceAll(/\.(?!\d)/g, '/')}/`;
    const renamed = (name: string): string =>
      [`${module}.weight`, `${module}.bias`].includes(name) || name.startsWith(scope) ? `hidden${name.length}` : name;
    for (const tensor of model.graph.initializer ?? []) tensor.name = renamed(tensor.name ?? '');
    for (const node of model.graph.node ?? []) {
      node.input = (node.input ?? []).map(renamed);
      node.output = (node.output ?? []).map(renamed);
      if (node.name?.startsWith(scope)) node.name = '';
    }
    writeOnnx(path.join(folder, 'hidden.onnx'), model);
    cpSync(path.join(folder, 'hidden.onnx'), file);
  }

  it('another scale in the config', async () => {
    const folder = copyOf('lora-linear');
    editJson(
      path.join(folder, 'adapter', 'adapter_config.json'),
      (config) => (config['lora_alpha'] = (config['lora_alpha'] as number) * 2),
    );
    expect(failedChecks(await run(folder))).toEqual(['forward', 'loss', 'gradients', 'train', 'merge']);
  });

  it('another gradient of one tensor', async () => {
    const folder = copyOf('vit-v4');
    const name = 'lora.grad.base_model.model.classifier.weight';
    await editTensors(path.join(folder, 'expected.safetensors'), (tensors) =>
      tensors.set(name, untransposed(tensors.get(name)!)),
    );
    const reports = await run(folder);
    expect(failedChecks(reports)).toEqual(['gradients']);
    expect(detailOf(reports, 'gradients')).toContain('base_model.model.classifier.weight at');
  });

  it('another direction of a gradient through products of integers', async () => {
    const folder = copyOf('lora-linear');
    await editTensors(path.join(folder, 'expected.safetensors'), (tensors) => {
      const name = [...tensors.keys()].find((each) => each.startsWith('lora.grad.'))!;
      tensors.set(name, times(tensors.get(name)!, -1));
    });
    expect(await inPrecision('int8-backward', folder)).toEqual([
      'gradients',
      'failed',
      expect.stringMatching(/has cosine -(?:0\.99\d\d|1\.0000), which should be 0\.995 at least$/),
    ]);
  });

  it('a gradient where PEFT has none', async () => {
    const folder = copyOf('vit-v4');
    await editTensors(path.join(folder, 'expected.safetensors'), (tensors) =>
      tensors.delete('lora.grad.base_model.model.classifier.bias'),
    );
    const reports = await run(folder);
    expect(failedChecks(reports)).toEqual(['gradients']);
    expect(detailOf(reports, 'gradients')).toContain('classifier.bias should get no gradient');
  });

  it('a transposed weight of the base', async () => {
    const folder = copyOf('vit-v4');
    const file = path.join(folder, 'model.onnx');
    const { model } = openOnnx(file);
    const node = model.graph.node!.find(
      ({ name }) => name === '/vit/encoder/layer.0/attention/attention/query/MatMul',
    )!;
    const weight = node.input![1]!;
    const at = model.graph.node!.indexOf(node);
    node.input = [node.input![0]!, 'turned'];
    model.graph.node!.splice(at, 0, { name: 'turn', opType: 'Transpose', input: [weight], output: ['turned'] });
    writeOnnx(path.join(folder, 'turned.onnx'), model);
    cpSync(path.join(folder, 'turned.onnx'), file);
    // The layer is still found, for what turns a weight is part of how it is stored, and the matrix is square: only
    // numbers tell.
    expect(failedChecks(await run(folder))).toEqual(['base', 'forward', 'loss', 'gradients', 'train']);
  });

  it('a module that is not found', async () => {
    const folder = copyOf('lora-linear');
    hideModule(folder, 'layers.1.up');
    const reports = await run(folder);
    expect(failedChecks(reports)).toEqual(['discover', 'load', 'forward', 'loss', 'gradients', 'train', 'merge']);
    expect(detailOf(reports, 'discover')).toBe('layers.1.up is not found');
  });

  it('a module that is not found, and that no gradient reaches, may be absent', async () => {
    const folder = copyOf('lora-linear');
    const module = 'layers.1.up';
    hideModule(folder, module);
    await editTensors(path.join(folder, 'expected.safetensors'), (tensors) => {
      for (const part of ['lora_A', 'lora_B']) tensors.delete(`lora.grad.base_model.model.${module}.${part}.weight`);
    });
    const reports = await run(folder);
    expect(detailOf(reports, 'discover')).toBe('7 modules, 1 rightly absent');
    expect(detailOf(reports, 'load')).toBe('14 tensors, 2 rightly unused');
    expect(failedChecks(reports)).not.toContain('save');
  });

  it('a module of another shape', async () => {
    const folder = copyOf('vit-v4');
    editJson(path.join(folder, 'case.json'), ({ modules }) => {
      (modules as Record<string, unknown>)['vit.encoder.layer.0.attention.attention.value'] = [[32, 64], 'Linear'];
    });
    const reports = await run(folder);
    expect(failedChecks(reports)).toEqual(['discover']);
    expect(detailOf(reports, 'discover')).toBe(
      'vit.encoder.layer.0.attention.attention.value is found with shape [32, 32], expected [32, 64]',
    );
  });

  it('other names of tensors', async () => {
    const folder = copyOf('lora-linear');
    await editTensors(path.join(folder, 'adapter', 'adapter_model.safetensors'), (tensors) => {
      const name = 'base_model.model.layers.0.up.lora_A.weight';
      tensors.set(name.replace('lora_A', 'lora_A.default'), tensors.get(name)!);
      tensors.delete(name);
    });
    expect(failedChecks(await run(folder))).toEqual(['save']);
  });

  it('other merged weights', async () => {
    const folder = copyOf('lora-linear');
    await editTensors(path.join(folder, 'merged.safetensors'), (tensors) =>
      tensors.set('layers.0.up.weight', times(tensors.get('layers.0.up.weight')!, 1.001)),
    );
    expect(failedChecks(await run(folder))).toEqual(['merge']);
  });

  it('another loss curve', async () => {
    const folder = copyOf('lora-linear');
    editJson(path.join(folder, 'case.json'), ({ train }) => {
      const { losses } = train as { losses: number[] };
      losses[losses.length - 1]! *= 1.01;
    });
    expect(failedChecks(await run(folder))).toEqual(['train']);
  });

  it('a loss that is not supported is a failure with its reason', async () => {
    const folder = copyOf('lora-linear');
    editJson(path.join(folder, 'case.json'), (json) => (json['loss'] = { kind: 'other', output: 'logits' }));
    const reports = await run(folder);
    expect(failedChecks(reports)).toEqual(['loss', 'gradients', 'train']);
    expect(detailOf(reports, 'loss')).toContain('The loss "other" is not supported');
  });

  it('a damaged model fails every check', async () => {
    const folder = copyOf('lora-linear');
    const file = path.join(folder, 'model.onnx');
    writeFileSync(file, readFileSync(file).subarray(0, 1000));
    expect(failedChecks(await run(folder))).toEqual(everyCheck);
  });

  it('what the case does not hold is not applicable', async () => {
    const folder = copyOf('lora-linear');
    editJson(path.join(folder, 'case.json'), (json) => (json['train'] = null));
    await editTensors(path.join(folder, 'expected.safetensors'), (tensors) => {
      for (const name of tensors.keys()) if (!name.startsWith('base.')) tensors.delete(name);
    });
    const skipped = (await run(folder)).filter(({ status }) => status === 'not applicable');
    expect(skipped.map(({ check }) => check)).toEqual(['forward', 'loss', 'gradients', 'train']);
  });

  it('the case has its own tolerance', async () => {
    const folder = copyOf('lora-linear');
    await editTensors(path.join(folder, 'expected.safetensors'), (tensors) =>
      tensors.set('base.logits', times(tensors.get('base.logits')!, 1.01)),
    );
    expect(failedChecks(await run(folder))).toEqual(['base']);
    editJson(path.join(folder, 'case.json'), (json) => (json['tolerance'] = { relativeRms: 0.02 }));
    expect(failedChecks(await run(folder))).toEqual([]);
  });
});

describe('the command', () => {
  async function command(...args: string[]): Promise<{ code: number; lines: string[] }> {
    const lines: string[] = [];
    const code = await conformanceCommand(args, (line) => lines.push(line));
    return { code, lines };
  }

  it('prints a line per case and check, and the sum', async () => {
    const some = ['lora-bias-only', 'lora-conv2d-dilated', 'vit-v4'].map((name) => path.join(cases, name));
    const { code, lines } = await command(...some, '--check', 'discover', '--check', 'load');
    expect(code).toBe(0);
    expect(lines).toEqual([
      'lora-bias-only discover passed  8 modules',
      'lora-bias-only load passed  24 tensors',
      'lora-conv2d-dilated discover passed  1 modules',
      'lora-conv2d-dilated load passed  2 tensors',
      'vit-v4 discover passed  4 modules',
      'vit-v4 load passed  10 tensors',
      '6 passed, 0 failed',
    ]);
  });

  it('trains a case without masks as PEFT in evaluation mode, whose dropout does nothing', async () => {
    const folder = path.join(mkdtempSync(path.join(scratch, 'case-')), 'in-evaluation-mode');
    cpSync(path.join(cases, 'lora-linear'), folder, { recursive: true });
    const config = path.join(folder, 'adapter', 'adapter_config.json');
    writeFileSync(config, JSON.stringify({ ...(JSON.parse(readFileSync(config, 'utf8')) as object), lora_dropout: 0.4 })); // prettier-ignore
    const { code, lines } = await command(folder, '--check', 'train');
    expect(lines).toEqual([expect.stringMatching(/^in-evaluation-mode train passed /), '1 passed, 0 failed']);
    expect(code).toBe(0);
  });

  it('counts what a case does not hold by the word that its line has', async () => {
    const folder = path.join(mkdtempSync(path.join(scratch, 'case-')), 'untrained');
    cpSync(path.join(cases, 'lora-linear'), folder, { recursive: true });
    const about = path.join(folder, 'case.json');
    writeFileSync(about, JSON.stringify({ ...(JSON.parse(readFileSync(about, 'utf8')) as object), train: null }));
    const { code, lines } = await command(folder, '--check', 'load', '--check', 'train');
    expect(code).toBe(0);
    expect(lines).toEqual([
      expect.stringMatching(/^untrained load passed /),
      expect.stringMatching(/^untrained train not applicable /),
      '1 passed, 0 failed, 1 not applicable',
    ]);
  });

  it('prints one JSON document, and exits with 1 when something fails', async () => {
    const folder = path.join(mkdtempSync(path.join(scratch, 'case-')), 'empty');
    cpSync(path.join(cases, 'lora-linear'), folder, { recursive: true });
    rmSync(path.join(folder, 'model.onnx'));
    const { code, lines } = await command(folder, '--check', 'base', '--json');
    expect(code).toBe(1);
    expect(JSON.parse(lines.join('\n'))).toMatchObject({
      passed: 0,
      failed: 1,
      skipped: 0,
      checks: [{ case: 'empty', check: 'base', status: 'failed' }],
    });
  });

  it('refuses what it cannot use', async () => {
    expect((await command()).code).toBe(2);
    expect(await command(path.join(cases, 'nothing'))).toMatchObject({
      code: 2,
      lines: [expect.stringContaining('There is no folder')],
    });
    expect(await command(cases, '--check', 'speed')).toMatchObject({
      code: 2,
      lines: [expect.stringContaining('There is no check "speed"')],
    });
    expect((await command(cases, '--what')).code).toBe(2);
  });
});
