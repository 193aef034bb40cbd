/** @file Tests of all families on the modules that models really have, by the names of both versions of transformers. */

import type { ModelFacts } from '@onnx-lora/sdk/plugin';
import { checkFamily } from '@onnx-lora/testing';
import { describe, expect, it } from 'vitest';
import { processorTypeOfModel } from '../preprocess/config/processorTypes.ts';
import { goldenNames } from '../../fixtures/goldenNames.ts';
import { visionFamilies } from './index.ts';

const byName = new Map(visionFamilies.map((family) => [family.name, family]));
const takers = (facts: ModelFacts): string[] =>
  visionFamilies.filter((family) => family.matches(facts)).map(({ name }) => name);

interface Adapted {
  /** Last parts of the paths that are adapted by default; from the papers, by hand. */
  readonly parts: readonly string[];
  /** Paths that are left out. */
  readonly never?: RegExp;
  /** Module paths of a model that names.json does not have. */
  readonly modules?: readonly string[];
}

const qv = ['query', 'value', 'q_proj', 'v_proj'];
const detectors = [...qv, 'k_proj', 'o_proj', 'out_proj', 'fc1', 'fc2', '0', '1', '2', 'convolution', 'conv', 'attention_weights', 'sampling_offsets', 'output_proj', 'value_proj', 'enc_score_head', 'gate']; // prettier-ignore
const samParts = ['qkv', 'q_proj', 'v_proj'];
const adapted: Record<string, Adapted> = {
  vit: { parts: qv },
  deit: { parts: qv },
  beit: { parts: qv },
  vit_mae: { parts: qv, never: /^decoder/ },
  dinov2: { parts: qv },
  dinov3_vit: { parts: qv },
  dinov3_convnext: { parts: ['pointwise_conv1', 'pointwise_conv2'] },
  swin: { parts: [...qv, 'qkv'] },
  swinv2: { parts: [...qv, 'proj'], never: /patch_embed/ },
  clip: { parts: [...qv, 'k_proj'] },
  siglip: { parts: [...qv, 'k_proj'] },
  convnext: { parts: ['pwconv1', 'pwconv2', 'fc1', 'fc2', '3', '5'] },
  resnet: { parts: ['convolution', 'conv1', 'conv2', 'conv3'], never: /embedder|shortcut|^conv1$/ },
  mobilevit: { parts: qv },
  mobilevitv2: { parts: ['convolution'], never: /^(?!.*qkv_proj)/ },
  segformer: { parts: qv },
  detr: { parts: qv, never: /^bbox_attention/ },
  'conditional-detr': {
    parts: [...qv, 'q_content_proj', 'sa_qcontent_proj', 'ca_qcontent_proj', 'sa_v_proj', 'ca_v_proj'],
  },
  'deformable-detr': { parts: qv },
  'rt-detr': { parts: detectors },
  'd-fine': { parts: detectors },
  yolos: { parts: qv },
  'rf-detr': { parts: qv },
  owlvit: { parts: qv },
  sam: { parts: samParts },
  sam2: { parts: samParts },
  'mobile-sam': { parts: samParts },
  'efficient-sam': { parts: samParts },
  'timm-vit': { parts: [...qv, 'qkv'] },
  'timm-beit': { parts: ['proj', 'fc1'], never: /patch_embed/ },
  'torchvision-vit': { parts: ['self_attention'] },
};

/** Classes without a prefix or a head of their own: their names are those of several families. */
const untold = new Set([
  'ViTModel', 'DeiTModel', 'BeitModel', 'ViTMAEModel', 'Dinov2Model', 'ResNetModel',
  'CLIPVisionModel', 'CLIPTextModel', 'CLIPForImageClassification',
]); // prettier-ignore

const written = Object.entries(adapted).flatMap(([family, { modules }]) =>
  modules === undefined ? [] : [{ title: family, family, layers: [modules] }],
);
const models = [...goldenNames, ...written].flatMap(({ title, family, layers }) =>
  layers.map((modulePaths) => {
    const { parts, never } = adapted[family]!;
    const targets = modulePaths.filter((path) => parts.includes(path.split('.').at(-1)!) && !never?.test(path));
    return { title, family, modulePaths, targets };
  }),
);

it.each(visionFamilies.map((family) => [family.title, family] as const))('%s', (_, family) => {
  const { modelTypes, name } = family;
  const own = models.filter((model) => model.family === name);
  // Where the modules do not tell, config.json does; where there is one, it decides.
  const configs = modelTypes.map((model_type) => ({ config: { model_type } }));
  const problems = checkFamily(family, {
    own: own.flatMap((model) => [
      ...(untold.has(model.title) ? [] : [model]),
      ...configs.map((each) => ({ ...model, ...each })),
    ]),
    others: [
      ...models.filter((model) => model.family !== name),
      ...own.filter(({ title }) => untold.has(title)),
      ...own.map(({ modulePaths }) => ({ config: { model_type: 'another' }, modulePaths })),
    ],
    complete: true,
  });
  // Not each model has all that its encoder may have; of some families nothing is trained yet but by the program.
  expect(problems.filter((each) => !/is no module's in any example|names no task/.test(each))).toEqual([]);
});

describe('families', () => {
  it('have no model type in common, and their own names are the first', () => {
    const types = visionFamilies.flatMap(({ modelTypes }) => modelTypes);
    expect(new Set(types).size).toBe(types.length);
    for (const { name, modelTypes } of visionFamilies) {
      if (modelTypes.length > 0) expect(modelTypes[0]).toBe(name.replace('-', '_'));
    }
  });

  it('name the image processors that transformers takes for them', () => {
    for (const { modelTypes, preprocessors } of visionFamilies) {
      const types = modelTypes.flatMap((type) => processorTypeOfModel(type) ?? []);
      expect(preprocessors).toEqual(expect.arrayContaining(types));
    }
  });

  it('are all among the models that are looked at', () => {
    expect(new Set(models.map(({ family }) => family))).toEqual(new Set(byName.keys()));
  });

  it('leave models of other families to those', () => {
    const modulePaths = ['vit.encoder.layer.0.attention.attention.query'];
    expect(takers({ config: { model_type: 'bert' }, modulePaths })).toEqual([]);
    expect(takers({ modulePaths: ['bert.encoder.layer.0.attention.self.query', 'classifier'] })).toEqual([]);
    expect(takers({ modulePaths: ['encoder.layer.0.attention.attention.query', 'classifier.dense'] })).toEqual([]);
    expect(takers({ modulePaths: ['model.encoder.layers.0.self_attn.q_proj', 'model.encoder.conv1'] })).toEqual([]);
  });

  it('see through the wrapper that transformers has for timm', () => {
    const config = { model_type: 'timm_wrapper', architecture: 'vit_base_patch16_224' };
    expect(takers({ config, modulePaths: ['timm_model.blocks.0.attn.qkv', 'timm_model.blocks.0.attn.proj'] })).toEqual([
      'timm-vit',
    ]);
    expect(takers({ config, modulePaths: ['timm_model.layer1.0.conv1', 'timm_model.layer4.1.conv2'] })).toEqual([
      'resnet',
    ]);
  });

  it('recognise a part of SAM that is a file of its own', () => {
    const whole = goldenNames.find(({ title }) => title === 'SamModel')!.layers[0]!;
    const encoder = whole.filter((path) => path.startsWith('vision_encoder.'));
    const decoder = whole.filter((path) => !path.startsWith('vision_encoder.'));
    expect(takers({ modulePaths: encoder })).toEqual(['sam']);
    expect(takers({ modulePaths: decoder })).toEqual(['sam']);
    expect(takers({ modulePaths: decoder.map((path) => path.replace('mask_decoder.', '')) })).toEqual(['sam']);
  });
});
