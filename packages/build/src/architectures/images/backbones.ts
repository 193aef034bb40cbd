/** @file Backbones of detectors: the maps of some stages of a ResNet, of timm's, or of HGNet V2. */

import type { Value } from '@onnx-lora/sdk/tasks';
import type { Config } from '../../checkpoint/config.ts';
import { activationNamed } from '../../layers/activations.ts';
import type { Module } from '../../layers/module.ts';
import { hgnetMaps, hgnetSizes } from './hgnet.ts';
import { resnetDSizes, resnetMaps, type ResnetNames, resnetSizes } from './resnet.ts';

/** The maps that a detector reads, the finest first: `[batch, width, height, width]`. */
export type Backbone = (m: Module) => Value[];

const timmNames: ResnetNames = {
  stem: ['conv1', 'bn1'],
  block: (stage, index) => `layer${stage + 1}.${index}`,
  layer: (index) => [`conv${index + 1}`, `bn${index + 1}`],
  shortcut: ['downsample.0', 'downsample.1'],
};
const timmDepths: Readonly<Record<string, readonly number[]>> = { resnet50: [3, 4, 6, 3], resnet101: [3, 4, 23, 3] };

/** Backbones that a detector may have. */
export interface BackboneKinds {
  /** `model_type` of `backbone_config`; the first is the default. */
  readonly types: readonly ('resnet' | 'timm_backbone' | 'rt_detr_resnet' | 'hgnet_v2')[];
  /** Stages that are read where no config says so, counted from 1. */
  readonly stages: readonly number[];
}

/** Reads `backbone_config`, or the fields that name one of timm's. */
export function readBackbone(c: Config, { types, stages }: BackboneKinds): Backbone {
  if (types.includes('timm_backbone') && !c.has('backbone_config')) {
    c.only('use_timm_backbone', true);
    return timmBackbone(c, c.inner('backbone_kwargs'), c.size('num_channels', 3), stages);
  }
  c.skip('use_timm_backbone', 'backbone', 'backbone_kwargs', 'num_channels', 'use_pretrained_backbone');
  const own = c.inner('backbone_config');
  const type = own.word('model_type', types, types[0]);
  own.skip('stage_names', 'out_features', 'out_indices');
  if (type === 'timm_backbone') return timmBackbone(own, own, own.size('num_channels', 3), stages);
  if (type === 'hgnet_v2') {
    const s = hgnetSizes(own);
    const kept = stagesRead(own, s.stages.length, stages);
    return (m) => kept(hgnetMaps(m, s));
  }
  const s = type === 'resnet' ? resnetSizes(own) : resnetDSizes(own);
  const kept = stagesRead(own, s.stages.length, stages);
  return (m) => kept(resnetMaps(m, s));
}

function timmBackbone(c: Config, options: Config, channels: number, usual: readonly number[]): Backbone {
  const name = c.word('backbone', Object.keys(timmDepths), 'resnet50');
  options.skip('in_chans', 'features_only', 'use_pretrained_backbone', 'freeze_batch_norm_2d', 'stage_names');
  options.only('output_stride', undefined, 32);
  const stages = timmDepths[name]!.map((depth, i) => ({ depth, width: 256 * 2 ** i, stride: i === 0 ? 1 : 2 }));
  const kept = stagesRead(options, stages.length, usual);
  const act = activationNamed('relu')!;
  const s = { channels, stem: 64, stages, isBottleneck: true, stridesFirst: false, isDeep: false, act };
  return (m) => kept(resnetMaps(m, s, timmNames));
}

/** Selects the maps that `out_features` or `out_indices` name; the last stage must be among them. */
function stagesRead(c: Config, count: number, usual: readonly number[]): (maps: readonly Value[]) => Value[] {
  const name = c.has('out_features') ? 'out_features' : 'out_indices';
  const named: unknown = c.raw(name);
  const numbers = (Array.isArray(named) ? named : usual).map((each: unknown) => {
    const number = typeof each === 'string' ? Number(/^(?:stage|layer)(\d+)$/.exec(each)?.[1]) : Number(each);
    return number < 0 ? count + 1 + number : number;
  });
  if (numbers.at(-1) !== count || numbers.some((each) => !(each >= 1 && each <= count)))
    throw c.unsupported(name, 'The last stage must be read, and none but stages.');
  return (maps) => numbers.map((each) => maps[each - 1]!);
}
