/** @file Tests of BERT's family on module paths of transformers 4 and 5, which agree. */

import { defaultTargetPaths } from '@onnx-lora/sdk';
import { describe, expect, it } from 'vitest';
import { bert } from './bert.ts';
import { scienceFamilies } from './index.ts';

const encoder = (prefix: string): string[] =>
  [
    'embeddings.word_embeddings',
    'embeddings.position_embeddings',
    'embeddings.token_type_embeddings',
    'encoder.layer.11.attention.self.query',
    'encoder.layer.11.attention.self.key',
    'encoder.layer.11.attention.self.value',
    'encoder.layer.11.attention.output.dense',
    'encoder.layer.11.intermediate.dense',
    'encoder.layer.11.output.dense',
  ].map((name) => prefix + name);
const models = {
  bert: [...encoder('bert.'), 'bert.pooler.dense', 'cls.predictions.transform.dense', 'cls.predictions.decoder'],
  roberta: [...encoder('roberta.'), 'lm_head.dense', 'lm_head.decoder'],
  chemberta: [...encoder('roberta.'), 'classifier.dense', 'classifier.out_proj'],
};

describe.each(Object.entries(models))('%s', (_, paths) => {
  it('has one role for every module', () => {
    for (const path of [...paths, 'classifier']) {
      const roles = Object.values(bert.roles).filter((patterns) =>
        patterns.some(({ source }) => new RegExp(`^(?:${source})$`).test(path)),
      );
      expect(roles, path).toHaveLength(1);
    }
  });

  it('adapts query and value', () => {
    const prefix = paths[0]!.split('.')[0]!;
    expect(defaultTargetPaths(bert, paths)).toEqual([
      `${prefix}.encoder.layer.11.attention.self.query`,
      `${prefix}.encoder.layer.11.attention.self.value`,
    ]);
  });

  it('is recognised by its prefix', () => {
    const takers = scienceFamilies.filter((family) => family.recognise({ modulePaths: paths }));
    expect(takers.map(({ name }) => name)).toEqual(['bert']);
  });
});

it('is recognised by its configuration', () => {
  for (const [type, name] of [
    ['bert', 'bert'],
    ['roberta', 'bert'],
    ['esm', 'esm'],
  ]) {
    const takers = scienceFamilies.filter((family) =>
      family.recognise({ config: { model_type: type }, modulePaths: encoder('') }),
    );
    expect(takers.map((family) => family.name)).toEqual([name]);
  }
  expect(bert.recognise({ modulePaths: encoder('') })).toBe(false);
  expect(bert.recognise({ modulePaths: encoder('distilbert.') })).toBe(false);
});
