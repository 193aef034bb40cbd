/** @file The checks of plugins, initialisers and optimizers: right ones pass, and each mistake is told. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { openModel } from '@onnx-lora/sdk';
import {
  matrix,
  type Initializer,
  type InputObserver,
  type RandomInitializer,
  type OperatorRule,
  definePlugin,
  settingsOf,
  type TaskFactory,
  createOptimizer,
  type Optimizer,
} from '@onnx-lora/sdk/plugin';
import { initializerNames, initializerOf, optimizerNames } from '@onnx-lora/sdk/core';
import { linearNet } from '../models/smallNets.ts';
import { publishModel } from '../models/publishModel.ts';
import { checkInitializer } from './checkInitializer.ts';
import { checkOptimizer } from './checkOptimizer.ts';
import { checkPlugin } from './checkPlugin.ts';

describe('an initialiser', () => {
  const named = initializerNames.filter((name) => !['default', 'loftq', 'pissa_niter_N'].includes(name));
  it.each(named)('%s passes', (name) => {
    expect(checkInitializer(() => initializerOf(name)!)).toEqual([]);
  });

  const [A, B] = [
    (value: number) =>
      matrix(
        2,
        5,
        Array.from({ length: 10 }, () => value),
      ),
    matrix(6, 2),
  ];
  let calls = 0;
  it.each<[string, RandomInitializer['init'], string]>([
    ['has factors of other shapes', () => ({ A: B, B }), 'A is [6, 2], expected [2, 5]'],
    ['gives what is no number', () => ({ A: A(NaN), B }), 'A holds what is no number'],
    ['does not heed the seed', () => ({ A: A(calls++), B }), 'the same seed gives other values the second time'],
    [
      'starts elsewhere than the base',
      () => ({
        A: A(1),
        B: matrix(
          6,
          2,
          Array.from({ length: 12 }, () => 1),
        ),
      }),
      'B·A is not zero, and it is not taken out again: return residual "subtract", or zeros in one factor',
    ],
  ])('that %s is told so', (_, init, problem) => {
    expect(checkInitializer(() => ({ name: 'mine', needs: 'nothing', init }))).toEqual([problem]);
  });
});

describe('an initialiser that throws', () => {
  const fail = (): never => {
    throw new Error('no.');
  };
  const observer: InputObserver = { update: () => {}, settled: true, factors: fail };
  it.each<[string, () => Initializer]>([
    ['create', fail],
    ['init', () => ({ name: 'mine', needs: 'nothing', init: fail })],
    ['init', () => ({ name: 'mine', needs: 'weight', init: fail })],
    ['observe', () => ({ name: 'mine', needs: 'inputs', passes: 1, observe: fail })],
    [
      'update',
      () => ({
        name: 'mine',
        needs: 'inputs',
        passes: 1,
        observe: () => ({ ...observer, settled: false, update: fail }),
      }),
    ],
    ['factors', () => ({ name: 'mine', needs: 'inputs', passes: 1, observe: () => observer })],
  ])('in %s is told so', (what, make) => {
    expect(checkInitializer(make)).toEqual([`${what} fails: no.`]);
  });
});

describe('an optimizer', () => {
  it.each(optimizerNames)('%s passes', (name) => {
    expect(checkOptimizer(() => createOptimizer(name))).toEqual([]);
  });

  const sgd = (change: Partial<Optimizer> = {}): Optimizer => ({
    name: 'mine',
    weightDecay: 0,
    init: () => ({}),
    *update(value, gradient, _, { lr }) {
      for (let i = 0; i < value.length; i++) value[i]! -= lr * gradient[i]!;
      yield;
    },
    ...change,
  });

  const fail = (): never => {
    throw new Error('no.');
  };
  it.each<[string, () => Optimizer]>([
    ['create', fail],
    ['update', () => sgd({ update: fail })],
    [
      'update',
      () =>
        sgd({
          *update() {
            yield;
            fail();
          },
        }),
    ],
    ['update', () => sgd({ init: fail })],
  ])('that throws in %s is told so', (what, make) => {
    expect(checkOptimizer(make)).toEqual([`${what} fails: no.`]);
  });

  let calls = 0;
  it.each<[string, () => Optimizer, RegExp]>([
    [
      'goes up',
      () =>
        sgd({
          *update(value, gradient, _, { lr }) {
            value.forEach((x, i) => (value[i] = x + lr * gradient[i]!));
            yield;
          },
        }),
      /the loss went from/,
    ],
    ['decays by less than nothing', () => sgd({ weightDecay: -1 }), /^weightDecay is -1$/],
    [
      'is random',
      () =>
        sgd({
          *update(value, gradient, _, { lr }) {
            value.forEach((x, i) => (value[i] = x - lr * gradient[i]! * (1 + 0.01 * (calls++ % 7))));
            yield;
          },
        }),
      /elsewhere the second time|other bits/,
    ],
    [
      'shrinks by itself',
      () =>
        sgd({
          *update(value, gradient, _, { lr }) {
            value.forEach((x, i) => (value[i] = 0.999 * x - lr * gradient[i]!));
            yield;
          },
        }),
      /a zero gradient moves values/,
    ],
    [
      'forgets',
      () => {
        // Its state is private, and not in a checkpoint.
        let mean = 0;
        return sgd({
          *update(value, gradient, _, { lr }) {
            value.forEach((x, i) => {
              mean = 0.9 * mean + 0.1 * gradient[i]!;
              value[i] = x - lr * (gradient[i]! + 0.1 * mean * gradient[i]!);
            });
            yield;
          },
        });
      },
      /^one that takes over its state/,
    ],
  ])('that %s is told so', (_, make, problem) => {
    // prettier-ignore
    const problems = checkOptimizer(make);
    expect(problems.length).toBeGreaterThan(0);
    for (const each of problems) expect(each).toMatch(problem);
  });
});

describe('a plugin', () => {
  const rule: OperatorRule = {
    domain: 'com.microsoft',
    op: 'Inverse',
    infer: ({ inputs: [x] }) => [{ type: x?.type, shape: x?.shape }],
    gradient: [
      ({ g, dy, y }) => {
        const turned = g.Transpose(y[0]!, [0, 2, 1]);
        return g.Neg(g.MatMul(g.MatMul(turned, dy), turned));
      },
    ],
  };
  const factory: TaskFactory = {
    name: 'cell-counting',
    description: '',
    settings: settingsOf<{ 'group-column'?: string }>({ 'group-column': { kind: 'text', description: 'a column' } }),
    create: () => ({ name: 'cell-counting', prepare: () => Promise.reject(new Error('not asked for')) }),
  };
  const cells = definePlugin({
    name: 'onnx-lora-cells',
    families: [{ name: 'cell-net', domain: 'cells', matches: ({ config }) => config?.['model_type'] === 'cell-net', roles: { encoder: [/encoder\.\d+/] }, defaultTargets: ['encoder'], tasks: ['cell-counting'] }],
    operators: [rule],
    optimizers: [{ name: 'adam-mine', create: () => createOptimizer('adam') }],
  }); // prettier-ignore
  const own = [{ config: { model_type: 'cell-net' }, modulePaths: ['encoder.0'] }];
  const inverse = [{ inputs: [{ floats: [4, 1, 0, -1, 5, 1, 0.5, 0, 3], dims: [1, 3, 3] }], type: 'float32' }] as const;

  it('that is right passes', async () => {
    const examples = { families: { 'cell-net': { own } }, operators: { 'com.microsoft:Inverse': inverse } };
    expect(await checkPlugin(cells, examples)).toEqual([]);
  });

  it('without examples is told what is missing', async () => {
    expect(await checkPlugin(cells)).toEqual([
      'family "cell-net": there is no example of its own models',
      'operator "com.microsoft:Inverse": there is no case for its gradient',
    ]);
  });

  it('is told of each part what is wrong with it', async () => {
    const operators = [{ ...rule, gradient: [({ g, dy }) => g.Neg(dy)] } satisfies OperatorRule];
    const wrong = definePlugin({ name: 'onnx-lora-wrong', operators, tasks: [factory] });
    const problems = await checkPlugin(wrong, { operators: { 'com.microsoft:Inverse': inverse } });
    expect(problems).toEqual([
      expect.stringMatching(/^operator "com.microsoft:Inverse": by element \d of input 0 the rule gives/),
      'task "cell-counting": there is no example of it on data',
      'task "cell-counting": it has no description',
      'task "cell-counting": the setting "group-column" is not in camel case',
    ]);
  });

  it('that cannot be loaded is told why', async () => {
    const twice = definePlugin({
      name: 'twice',
      optimizers: [{ name: 'adamw', create: () => createOptimizer('adam') }],
    });
    expect(await checkPlugin(twice)).toEqual([expect.stringMatching(/The SDK and "twice" .* "adamw"/)]);
  });

  it('has its datasets, providers, trackers and sections checked', async () => {
    const fail = (): never => {
      throw new Error('no.');
    };
    const settings: unknown[] = [];
    const others = definePlugin({
      name: 'others',
      datasets: ['given', 'missing'].map((name) => ({ name, description: '', prepare: fail })),
      providers: [{ name: 'mine', description: '', create: fail }],
      trackers: [{ name: 'mine', description: '', create: (run) => (settings.push(run.settings), fail()) }],
      sections: [{ name: 'mine', sections: ({ task }) => [{ kind: 'table', title: task, columns: [], rows: [[1]] }] }],
    });
    const found = await checkPlugin(others, {
      datasets: { given: { source: '', bad: 'v9' } },
      trackers: { mine: { settings: { project: 'cells' } } },
      sections: { mine: { task: 'counting' } },
    });
    expect(found).toEqual([
      'dataset "given": prepare fails: no.',
      'dataset "given": a source that is not there ends in Error: no., which should be an OnnxLoraError',
      'dataset "missing": there is no example of its source',
      'provider "mine": create fails: no.',
      'tracker "mine": create fails: no.',
      'section "mine": "counting": row 1 has 1 cells for 0 columns',
    ]);
    expect(settings[0]).toEqual({ project: 'cells' });
  });

  it('that throws when it is loaded is told so', async () => {
    const broken = definePlugin({
      name: 'broken',
      optimizers: () => {
        throw new TypeError('no.');
      },
    });
    expect(await checkPlugin(broken)).toEqual(['loading it fails: no.']);
  });

  it('has its tasks checked on their models', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-plugin-'));
    try {
      const model = await openModel(await publishModel(folder, { model: linearNet() }));
      const plugin = definePlugin({
        name: 'p',
        tasks: [{ ...factory, description: 'Counts cells.', settings: settingsOf({}) }],
      });
      const task = { name: 'cell-counting', prepare: () => Promise.resolve({ train: { length: 0 } }) } as never;
      expect(await checkPlugin(plugin, { tasks: [{ task, model }] })).toEqual([
        'task "cell-counting": the data must have at least two examples',
      ]);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
