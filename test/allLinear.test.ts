/** @file `all-linear` means the modules that PEFT takes, in a class of every family. */

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { scienceFamilies } from '@onnx-lora/science';
import { speechFamilies } from '@onnx-lora/speech';
import { textFamilies } from '@onnx-lora/text';
import { encoderFamilies } from '@onnx-lora/sequences';
import { visionFamilies } from '@onnx-lora/vision';
import { selectNamed } from '../packages/sdk/src/model/graph/selectNamed.ts';

/** Modules that PEFT adapts and leaves out in a class of transformers: `fixtures/make_all_linear.py`. */
interface Choice {
  readonly type: string;
  readonly class: string;
  readonly allLinear: readonly string[];
  readonly leftOut: readonly string[];
  /** Modules left out of a sequence classifier if the config names the task. */
  readonly leftOutByTask?: readonly string[];
}

const choices = JSON.parse(readFileSync(path.join(import.meta.dirname, 'fixtures/all-linear.json'), 'utf8')) as Choice[]; // prettier-ignore
const families = [...visionFamilies, ...speechFamilies, ...textFamilies, ...encoderFamilies, ...scienceFamilies];
/** Models that transformers does not have, or whose backbone is another library's; built checkpoints have a DETR. */
const elsewhere = /^(?:timm-|torchvision-|mobile-sam|efficient-sam|esmc|esmfold|evoformer|molformer|detr)/;

describe('all-linear', () => {
  it.each(choices.map((each) => [each.class, each] as const))(
    '%s',
    (_, { type, allLinear, leftOut, leftOutByTask }) => {
      const family = families.find((each) => each.matches({ config: { model_type: type }, modulePaths: [] }))!;
      const linear = [...new Set([...allLinear, ...leftOut, ...(leftOutByTask ?? [])])].sort();
      const modules = [...linear.map((each) => ({ path: each, kind: 'linear' })), { path: 'layer.0.query', kind: 'linear' }]; // prettier-ignore
      const choose = (taskType?: string): string[] =>
        selectNamed(modules, { r: 8, loraAlpha: 8, targetModules: 'all-linear', taskType }, { name: type, family })
          .targets.filter((each) => each !== 'layer.0.query')
          .sort();
      expect(choose()).toEqual([...allLinear].sort());
      if (!leftOutByTask) return;
      expect(choose('SEQ_CLS')).toEqual(linear.filter((each) => !leftOutByTask.includes(each)));
    },
  );

  it('is looked at in every family that transformers has', () => {
    const seen = new Set(choices.map(({ type }) => families.find((each) => each.matches({ config: { model_type: type }, modulePaths: [] }))!.name)); // prettier-ignore
    expect(families.map(({ name }) => name).filter((name) => !seen.has(name) && !elsewhere.test(name))).toEqual([]);
  });
});
