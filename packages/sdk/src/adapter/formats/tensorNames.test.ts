/** @file Tests of tensor names against those in PEFT's files. */

import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type TensorRole, parseTensorName, tensorName } from './tensorNames.ts';
import { parseSafetensors } from './safetensors.ts';

const cases = join(import.meta.dirname, '../../../../../../shared/oracle/cases');
const query = 'vit.encoder.layer.0.attention.attention.query';

describe('parseTensorName', () => {
  it.each<[string, string, TensorRole, string?]>([
    [`base_model.model.${query}.lora_A.weight`, query, 'lora_A'],
    [`base_model.model.${query}.lora_B.weight`, query, 'lora_B'],
    [`base_model.model.${query}.lora_B.bias`, query, 'lora_B.bias'],
    ['base_model.model.tokens.lora_embedding_A', 'tokens', 'lora_embedding_A'],
    ['base_model.model.tokens.lora_embedding_B', 'tokens', 'lora_embedding_B'],
    ['base_model.model.a.q_proj.lora_magnitude_vector', 'a.q_proj', 'lora_magnitude_vector'],
    ['base_model.model.layers.0.down.base_layer.bias', 'layers.0.down', 'base_layer.bias'],
    ['base_model.model.lm_head.base_layer.weight', 'lm_head', 'base_layer.weight'],
    ['base_model.model.tokens.token_adapter.trainable_tokens_delta', 'tokens', 'trainable_tokens_delta'],
    ['base_model.model.classifier.weight', 'classifier', 'parameter', 'weight'],
    ['base_model.model.classifier.dense.bias', 'classifier.dense', 'parameter', 'bias'],
    ['base_model.model.cls_token', '', 'parameter', 'cls_token'],
    // Nested wrappers stay in the path.
    ['base_model.model.attn.base_layer.out_proj.lora_A.weight', 'attn.base_layer.out_proj', 'lora_A'],
    ['base_model.model.experts.base_layer.lora_B.weight', 'experts.base_layer', 'lora_B'],
  ])('reads and writes %s', (name, module, role, parameter) => {
    expect(parseTensorName(name)).toEqual({ module, role, ...(parameter && { parameter }) });
    expect(tensorName(module, role, parameter)).toBe(name);
  });

  it.each<[string, string, TensorRole, string?]>([
    [`${query}.lora_A.weight`, query, 'lora_A'],
    [`base_model.model.${query}.lora_A.default.weight`, query, 'lora_A'],
    ['a.lora_B.weight.weight', 'a', 'lora_B'],
    ['a.lora_B.my-adapter.bias', 'a', 'lora_B.bias'],
    ['a.lora_embedding_A.default', 'a', 'lora_embedding_A'],
    ['a.lora_magnitude_vector.weight', 'a', 'lora_magnitude_vector'],
    ['a.lora_magnitude_vector.default.weight', 'a', 'lora_magnitude_vector'],
    ['a.token_adapter.trainable_tokens_delta.default', 'a', 'trainable_tokens_delta'],
    ['base_model.model.head.modules_to_save.default.weight', 'head', 'parameter', 'weight'],
    ['head.modules_to_save.default.dense.bias', 'head.dense', 'parameter', 'bias'],
    ['weight', '', 'parameter', 'weight'],
    ['', '', 'parameter', ''],
    ['a.lora_A', 'a', 'parameter', 'lora_A'],
    ['lora_A.weight', '', 'lora_A'],
  ])('tolerates %s', (name, module, role, parameter) => {
    expect(parseTensorName(name)).toEqual({ module, role, ...(parameter !== undefined && { parameter }) });
  });

  it('is undone by tensorName', () => {
    const part = fc.stringMatching(/^[a-z0-9_]{1,8}$/);
    const module = fc.array(part, { minLength: 1, maxLength: 5 }).map((parts) => parts.join('.'));
    const role = fc.constantFrom<TensorRole>('lora_A', 'lora_B', 'lora_B.bias', 'lora_embedding_A', 'base_layer.bias', 'trainable_tokens_delta', 'parameter'); // prettier-ignore
    fc.assert(
      fc.property(module, role, (path, each) => {
        expect(parseTensorName(tensorName(path, each))).toMatchObject({ module: path, role: each });
      }),
    );
  });

  it.skipIf(!existsSync(cases))('reads and writes every name in the LoRA cases of the oracle', () => {
    let count = 0;
    for (const name of readdirSync(cases)) {
      const config = readFileSync(join(cases, name, 'adapter/adapter_config.json'), 'utf8');
      if (!config.includes('"peft_type": "LORA"')) continue;
      const bytes = readFileSync(join(cases, name, 'adapter/adapter_model.safetensors'));
      const adapted = new Set<string>();
      for (const tensor of parseSafetensors(bytes, name).tensors.keys()) {
        const { module, role, parameter } = parseTensorName(tensor);
        expect(tensorName(module, role, parameter)).toBe(tensor);
        if (role === 'lora_A' || role === 'lora_embedding_A') adapted.add(module);
        count++;
      }
      const expected = (JSON.parse(readFileSync(join(cases, name, 'case.json'), 'utf8')) as { adapted: string[] })
        .adapted;
      for (const module of adapted) {
        if (!module.includes('base_layer')) expect(expected, name).toContain(module);
      }
    }
    expect(count).toBeGreaterThan(1500);
  });
});
