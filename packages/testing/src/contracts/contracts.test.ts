/** @file The checks of families and preprocessors: right ones pass, and each mistake is told. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { OnnxLoraError, float32, type Tensor } from '@onnx-lora/sdk';
import { describedFamily, type ModelFacts, type ModelFamily, type PreprocessorFactory } from '@onnx-lora/sdk/plugin';
import { checkFamily, type FamilyExamples } from './checkFamily.ts';
import { checkPreprocessor } from './checkPreprocessor.ts';

describe('a family', () => {
  const examples: FamilyExamples = {
    own: [{ config: { model_type: 'cell-net' }, modulePaths: ['cells.encoder.0.query', 'cells.head'] }],
    others: [{ config: { model_type: 'vit' }, modulePaths: ['vit.encoder.0.query'] }],
  };
  const cellNet: ModelFamily = {
    name: 'cell-net',
    domain: 'cells',
    matches: ({ config }) => config?.['model_type'] === 'cell-net',
    roles: { 'attention.query': [/.*\.query/], head: [/cells\.head/] },
    defaultTargets: ['attention.query'],
    tasks: ['cell-counting'],
  };

  it('that is right passes', () => {
    expect(checkFamily(cellNet, examples)).toEqual([]);
  });

  it.each<[string, Partial<ModelFamily>, string[]]>([
    [
      'does not know its own',
      { matches: () => false },
      [
        'own model 1 of 1 is not recognised: it has a config of model_type "cell-net" and 2 module paths, such as "cells.encoder.0.query" and "cells.head"',
      ],
    ],
    [
      'takes all models',
      { matches: () => true },
      [
        'other model 1 of 1 is taken for its own',
        'a model of "no config" is taken for its own',
        'a model of {} is taken for its own',
        'a model of {"model_type":"onnx-lora-unknown"} is taken for its own',
      ],
    ],
    [
      'matches parts of paths',
      { roles: { 'attention.query': [/query/], head: [/cells\.head/] } },
      [
        'the role "attention.query" matches a part of "cells.encoder.0.query", but patterns are for whole paths',
        'of own model 1 of 1 nothing is adapted by default',
      ],
    ],
    [
      'has a role without modules',
      { roles: { ...cellNet.roles, value: [/.*\.value/] } },
      ['the role "value" is no module\'s in any example'],
    ],
    [
      'has flags',
      { roles: { ...cellNet.roles, head: [/CELLS\.HEAD/i] } },
      ['the role "head" has the pattern /CELLS\\.HEAD/i, whose flags are not heeded'],
    ],
    [
      'adapts what is no role',
      { defaultTargets: ['attention.query', 'mlp'] },
      ['"mlp" is adapted by default, but is no role of its own'],
    ],
    ['adapts nothing', { defaultTargets: [] }, ['it adapts nothing by default']],
    ['has no task', { tasks: [] }, ['it names no task']],
    [
      'fails without a config',
      {
        matches: ({ config }) => {
          if (!config) throw new TypeError('no config');
          return cellNet.matches({ config, modulePaths: [] });
        },
      },
      ['matches of a model of "no config" fails: no config'],
    ],
    [
      'fails',
      {
        matches: () => {
          throw new Error('no.');
        },
      },
      [
        'matches of own model 1 of 1 fails: no.',
        'matches of other model 1 of 1 fails: no.',
        'matches of a model of "no config" fails: no.',
        'matches of a model of {} fails: no.',
        'matches of a model of {"model_type":"onnx-lora-unknown"} fails: no.',
      ],
    ],
  ])('that %s is told so', (_, change, problems) => {
    expect(checkFamily({ ...cellNet, ...change }, examples)).toEqual(problems);
  });
});

describe('a family that is made of marks', () => {
  const family = describedFamily({
    name: 'cell-net',
    domain: 'cells',
    title: 'CellNet',
    paper: '',
    modelTypes: ['cell-net', 'cell-net-2'],
    signatures: [['^cells.encoder.{n}', '!decoder'], ['cell_head']],
    names: { head: ['^head'] },
    defaultTargets: ['head'],
    targetsFrom: '',
    tasks: ['cell-counting'],
    preprocessors: [],
  });

  it.each<[string, ModelFacts, string]>([
    [
      'of another model_type',
      { config: { model_type: 'vit' }, modulePaths: ['head'] },
      'it has a config of model_type "vit" and 1 module path, such as "head". It looks for model_type "cell-net" or "cell-net-2"',
    ],
    [
      'without a config',
      { modulePaths: ['head', 'a', 'b'] },
      'it has no config and 3 module paths, such as "head" and "a". Without model_type, it looks in the paths for "^cells.encoder.{n}" and no "decoder", or for "cell_head"',
    ],
    [
      'of a config without model_type',
      { config: {}, modulePaths: ['head'] },
      'it has a config without model_type and 1 module path, such as "head". Without model_type, it looks in the paths for "^cells.encoder.{n}" and no "decoder", or for "cell_head"',
    ],
  ])('says what it was given and what it looks for, %s', (_, facts, problem) => {
    const known = { config: { model_type: 'cell-net' }, modulePaths: ['head'] };
    expect(checkFamily(family, { own: [known, facts] })).toEqual([`own model 2 of 2 is not recognised: ${problem}`]);
  });
});

describe('a preprocessor', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-contracts-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const file = path.join(folder, 'week.csv');
  writeFileSync(file, '1');
  const config = { processor_class: 'SeriesProcessor', length: 2 };
  const input = { type: 'float32', dims: ['batch', 2] } as const;

  function factory(
    change: Partial<PreprocessorFactory> = {},
    values: (file: string) => Tensor = () => float32([1, 2], [2]),
  ): PreprocessorFactory {
    return {
      domain: 'series',
      fileEndings: ['.csv'],
      recognises: (given) => given['processor_class'] === 'SeriesProcessor',
      create: () => ({
        preprocess: (given) =>
          given === file
            ? Promise.resolve(values(given))
            : Promise.reject(new OnnxLoraError('FILE_NOT_FOUND', `There is no "${given}".`)),
      }),
      ...change,
    };
  }

  it('that is right passes', async () => {
    expect(await checkPreprocessor(factory(), { config, files: [file], input })).toEqual([]);
  });

  it.each<[string, PreprocessorFactory, string[]]>([
    [
      'recognises',
      factory({
        recognises: () => {
          throw new Error('no.');
        },
      }),
      Array<string>(3).fill('recognises fails: no.'),
    ],
    [
      'create',
      factory({
        create: () => {
          throw new Error('no.');
        },
      }),
      ['create fails: no.'],
    ],
    [
      'preprocess',
      factory({}, () => {
        throw new Error('no.');
      }),
      [`preprocess of "${file}" fails: no.`],
    ],
    [
      'preprocess, later',
      factory({
        create: () => ({
          preprocess: (given) =>
            Promise.reject(given === file ? new Error('no.') : new OnnxLoraError('FILE_NOT_FOUND', 'No file.')),
        }),
      }),
      [`preprocess of "${file}" fails: no.`],
    ],
  ])('that fails in %s is told so', async (_, broken, problems) => {
    expect(await checkPreprocessor(broken, { config, files: [file], input })).toEqual(problems);
  });

  let calls = 0;
  it.each<[string, PreprocessorFactory, RegExp]>([
    ['does not know its config', factory({ recognises: () => false }), /^its own config is not recognised$/],
    ['takes any config', factory({ recognises: () => true }), /^the config .* is taken for its own$/],
    ['has endings in capitals', factory({ fileEndings: ['.csv', 'CSV'] }), /"CSV" is not in lower case/],
    ['has other endings', factory({ fileEndings: ['.txt'] }), /has none of its file endings \.txt/],
    ['is random', factory({}, () => float32([calls++, 2], [2])), /has other numbers the second time/],
    ['gives what is no number', factory({}, () => float32([1, NaN], [2])), /holds NaN at 1/],
    [
      'gives another shape',
      factory({}, () => float32([1, 2, 3], [3])),
      /has shape \[1, 3\], but the input takes \[batch, 2\]/,
    ],
    [
      'gives another type',
      factory({}, () => ({ type: 'float64', dims: [2], data: Float64Array.of(1, 2) })),
      /is float64, but the input takes float32/,
    ],
    [
      'fails with a plain error',
      factory({
        create: () => ({
          preprocess: (given) =>
            given === file ? Promise.resolve(float32([1, 2], [2])) : Promise.reject(new Error('ENOENT')),
        }),
      }),
      /ends in Error: ENOENT, which should be an OnnxLoraError/,
    ],
    [
      'changes the config',
      factory({
        create: (given) => {
          (given as Record<string, unknown>)['length'] = 3;
          return factory().create(given, '');
        },
      }),
      /^the config was changed$/,
    ],
  ])('that %s is told so', async (_, broken, problem) => {
    // prettier-ignore
    const problems = await checkPreprocessor(broken, { config: structuredClone(config), files: [file], input });
    expect(problems.length).toBeGreaterThan(0);
    for (const each of problems) expect(each).toMatch(problem);
  });
});
