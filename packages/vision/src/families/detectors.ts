/** @file Families of detectors besides DETR: those of its kin, YOLOS, RF-DETR and OWL-ViT. */

import type { DescribedFamily, ModuleName, NamePair, RoleNames } from '@onnx-lora/sdk/plugin';
import { deformableDetrStops, dFineStops, rfDetrStops, rtDetrStops } from './stoppedGradients.ts';
import { detectorFacts, visionFamily } from './visionFamily.ts';

const detection: readonly string[] = ['object-detection'];
const encoder = 'encoder.layers.{n}';
const decoder = 'decoder.layers.{n}';
const backbone: ModuleName = /(?:.*\.)?backbone\.(?:conv_encoder\.)?model\..*/;
const renamedBackbone: NamePair = { 4: 'backbone.conv_encoder.model', 5: 'backbone.model' };

/** Fully connected layers and the output of attention, which transformers 5 renamed. */
const renamed = (layer: string, name: string, recent = `mlp.${name}`): NamePair => ({ 4: `${layer}.${name}`, 5: `${layer}.${recent}` }); // prettier-ignore
const output = (attention: string): NamePair => ({ 4: `${attention}.out_proj`, 5: `${attention}.o_proj` });

/** Queries and values of sampled attention have no other names in any version. */
const sampled = (attentions: readonly string[]): RoleNames => ({
  'sampling.offsets': attentions.map((name) => `${name}.sampling_offsets`),
  'sampling.weights': attentions.map((name) => `${name}.attention_weights`),
  'sampling.value': attentions.map((name) => `${name}.value_proj`),
  'sampling.output': attentions.map((name) => `${name}.output_proj`),
});

/** A projection of Conditional DETR's decoder: `sa_qcontent_proj` in transformers 4. */
const conditional = (attention: 'self' | 'encoder', recent: string): NamePair => ({
  4: `${decoder}.${attention === 'self' ? 'sa' : 'ca'}_${recent.replace(/^([qk])_/, '$1')}`,
  5: `${decoder}.${attention}_attn.${recent}`,
});

/** Conditional DETR as transformers writes it. */
export const conditionalDetr: DescribedFamily = visionFamily({
  name: 'conditional-detr',
  title: 'Conditional DETR',
  paper: 'Meng et al., "Conditional DETR for Fast Training Convergence" (2021), arXiv:2108.06152',
  modelTypes: ['conditional_detr'],
  signatures: [
    ['decoder.layers.{n}.encoder_attn.q_pos_sine_proj', 'input_projection'],
    ['decoder.layers.{n}.ca_qpos_sine_proj', 'input_projection'],
  ],
  names: {
    'attention.query': [
      `${encoder}.self_attn.q_proj`,
      ...(['self', 'encoder'] as const).map((name) => conditional(name, 'q_content_proj')),
    ],
    'attention.key': [
      `${encoder}.self_attn.k_proj`,
      ...(['self', 'encoder'] as const).map((name) => conditional(name, 'k_content_proj')),
    ],
    'attention.value': [
      `${encoder}.self_attn.v_proj`,
      ...(['self', 'encoder'] as const).map((name) => conditional(name, 'v_proj')),
    ],
    'attention.position': [
      ...(['self', 'encoder'] as const).flatMap((name) =>
        ['q_pos_proj', 'k_pos_proj'].map((each) => conditional(name, each)),
      ),
      conditional('encoder', 'q_pos_sine_proj'),
    ],
    'attention.output': [`${encoder}.self_attn`, `${decoder}.self_attn`, `${decoder}.encoder_attn`].map(output),
    'mlp.up': [encoder, decoder].map((layer) => renamed(layer, 'fc1')),
    'mlp.down': [encoder, decoder].map((layer) => renamed(layer, 'fc2')),
    backbone: [backbone],
    'input-projection': ['input_projection'],
    'embedding.query': ['query_position_embeddings'],
    references: ['query_scale.layers.{n}', 'ref_point_head.layers.{n}'],
    classifier: ['class_labels_classifier'],
    boxes: ['bbox_predictor.layers.{n}'],
  },
  renamed: [renamedBackbone],
  ...detectorFacts,
  preprocessors: ['ConditionalDetrImageProcessor'],
});

/** Deformable DETR as transformers writes it, with or without refinement of boxes, in one or two stages. */
export const deformableDetr: DescribedFamily = visionFamily({
  name: 'deformable-detr',
  title: 'Deformable DETR',
  paper:
    'Zhu et al., "Deformable DETR: Deformable Transformers for End-to-End Object Detection" (2020), arXiv:2010.04159',
  modelTypes: ['deformable_detr'],
  signatures: [['decoder.layers.{n}.encoder_attn.sampling_offsets', 'input_proj.{n}.{n}', '!enc_score_head']],
  names: {
    'attention.query': [`${decoder}.self_attn.q_proj`],
    'attention.key': [`${decoder}.self_attn.k_proj`],
    'attention.value': [`${decoder}.self_attn.v_proj`],
    'attention.output': [output(`${decoder}.self_attn`)],
    ...sampled([`${encoder}.self_attn`, `${decoder}.encoder_attn`]),
    'mlp.up': [encoder, decoder].map((layer) => renamed(layer, 'fc1')),
    'mlp.down': [encoder, decoder].map((layer) => renamed(layer, 'fc2')),
    backbone: [backbone],
    'input-projection': ['model.input_proj.{n}.{n}'],
    'embedding.query': ['query_position_embeddings'],
    references: ['reference_points', 'enc_output', 'pos_trans'],
    classifier: ['class_embed.{n}'],
    boxes: ['bbox_embed.{n}.layers.{n}'],
  },
  renamed: [renamedBackbone],
  ...detectorFacts,
  preprocessors: ['DeformableDetrImageProcessor'],
  stopGradients: deformableDetrStops,
});

/** The encoder that mixes levels, which RT-DETR and D-FINE share. */
const [hybrid, formerly] = ['encoder.aifi.{n}.layers.{n}', 'encoder.encoder.{n}.layers.{n}'];
const inHybrid = (name: string, recent = name): NamePair => ({ 4: `${formerly}.${name}`, 5: `${hybrid}.${recent}` });
const hybridNames: RoleNames = {
  'attention.query': [inHybrid('self_attn.q_proj'), `${decoder}.self_attn.q_proj`],
  'attention.key': [inHybrid('self_attn.k_proj'), `${decoder}.self_attn.k_proj`],
  'attention.value': [inHybrid('self_attn.v_proj'), `${decoder}.self_attn.v_proj`],
  'attention.output': [inHybrid('self_attn.out_proj', 'self_attn.o_proj'), output(`${decoder}.self_attn`)],
  backbone: [/(?:.*\.)?backbone\.model\..*/],
  neck: [
    /(?:.*\.)?(?:encoder|decoder)_input_proj\..*/,
    /(?:.*\.)?encoder\.(?:lateral_convs|fpn_blocks|downsample_convs|pan_blocks)\..*/,
  ],
  proposals: ['enc_output.{n}', 'enc_score_head', 'enc_bbox_head.layers.{n}'],
  // Read in training alone.
  denoising: ['denoising_class_embed'],
  references: ['query_pos_head.layers.{n}'],
  classifier: ['class_embed.{n}'],
  boxes: ['bbox_embed.{n}.layers.{n}'],
};
const hybridRenamed: NamePair = { 4: formerly, 5: hybrid };
const measuredTargets =
  'measured on a small RT-DETR of 100,000 weights that learned turned digits: queries and values alone learn nothing (mAP 0.009), all linear layers some (0.155), with convolutions most (0.387)';

/** RT-DETR and RT-DETRv2 as transformers writes them. */
export const rtDetr: DescribedFamily = visionFamily({
  name: 'rt-detr',
  title: 'RT-DETR',
  paper: 'Zhao et al., "DETRs Beat YOLOs on Real-time Object Detection" (2023), arXiv:2304.08069',
  modelTypes: ['rt_detr', 'rt_detr_v2'],
  signatures: [['enc_score_head', 'decoder.layers.{n}.encoder_attn.sampling_offsets', '!pre_bbox_head']],
  names: {
    ...hybridNames,
    ...sampled([`${decoder}.encoder_attn`]),
    'mlp.up': [inHybrid('fc1', 'mlp.fc1'), renamed(decoder, 'fc1')],
    'mlp.down': [inHybrid('fc2', 'mlp.fc2'), renamed(decoder, 'fc2')],
  },
  renamed: [hybridRenamed],
  defaultTargets: ['backbone', 'neck', 'attention.query', 'attention.key', 'attention.value', 'attention.output', 'mlp.up', 'mlp.down', 'sampling.offsets', 'sampling.weights', 'sampling.value', 'sampling.output', 'proposals', 'references', 'classifier', 'boxes'], // prettier-ignore
  targetsFrom: measuredTargets,
  ...detectorFacts,
  preprocessors: ['RTDetrImageProcessor'],
  stopGradients: rtDetrStops,
});

/** D-FINE as transformers writes it. */
export const dFine: DescribedFamily = visionFamily({
  name: 'd-fine',
  title: 'D-FINE',
  paper:
    'Peng et al., "D-FINE: Redefine Regression Task in DETRs as Fine-grained Distribution Refinement" (2024), arXiv:2410.13842',
  modelTypes: ['d_fine'],
  signatures: [['enc_score_head', 'pre_bbox_head']],
  names: {
    ...hybridNames,
    'sampling.offsets': [`${decoder}.encoder_attn.sampling_offsets`],
    'sampling.weights': [`${decoder}.encoder_attn.attention_weights`],
    'mlp.up': [inHybrid('fc1', 'mlp.layers.0'), renamed(decoder, 'fc1', 'mlp.layers.0')],
    'mlp.down': [inHybrid('fc2', 'mlp.layers.1'), renamed(decoder, 'fc2', 'mlp.layers.1')],
    gateway: ['gateway.gate'],
    references: ['query_pos_head.layers.{n}', 'pre_bbox_head.layers.{n}'],
    quality: ['lqe_layers.{n}.reg_conf.layers.{n}'],
  },
  renamed: [hybridRenamed],
  defaultTargets: ['backbone', 'neck', 'attention.query', 'attention.key', 'attention.value', 'attention.output', 'mlp.up', 'mlp.down', 'sampling.offsets', 'sampling.weights', 'gateway', 'proposals', 'references', 'quality', 'classifier', 'boxes'], // prettier-ignore
  targetsFrom: `as RT-DETR, ${measuredTargets}`,
  ...detectorFacts,
  preprocessors: ['RTDetrImageProcessor'],
  stopGradients: dFineStops,
});

/** YOLOS as transformers writes it: a ViT with queries among its tokens. */
export const yolos: DescribedFamily = visionFamily({
  name: 'yolos',
  title: 'YOLOS',
  paper:
    'Fang et al., "You Only Look at One Sequence: Rethinking Transformer in Vision through Object Detection" (2021), arXiv:2106.00666',
  modelTypes: ['yolos'],
  signatures: [['encoder.layer.{n}.attention.attention.query', 'bbox_predictor.layers.{n}']],
  names: {
    'patch-embedding': ['embeddings.patch_embeddings.projection'],
    'attention.query': ['encoder.layer.{n}.attention.attention.query'],
    'attention.key': ['encoder.layer.{n}.attention.attention.key'],
    'attention.value': ['encoder.layer.{n}.attention.attention.value'],
    'attention.output': ['encoder.layer.{n}.attention.output.dense'],
    'mlp.up': ['encoder.layer.{n}.intermediate.dense'],
    'mlp.down': ['encoder.layer.{n}.output.dense'],
    classifier: ['class_labels_classifier.layers.{n}'],
    boxes: ['bbox_predictor.layers.{n}'],
  },
  renamed: [{ 4: 'encoder.mid_position_embeddings', 5: 'encoder.interpolation.mid_position_embeddings' }],
  tasks: detection,
  preprocessors: ['YolosImageProcessor'],
});

/** RF-DETR as transformers 5 writes it, for boxes or masks; 4 does not have it. */
export const rfDetr: DescribedFamily = visionFamily({
  name: 'rf-detr',
  title: 'RF-DETR',
  paper:
    'Robinson et al., "RF-DETR: Neural Architecture Search for Real-Time Detection Transformers" (2025), arXiv:2511.09554',
  modelTypes: ['rf_detr'],
  signatures: [['decoder.layers.{n}.cross_attn.sampling_offsets', 'enc_out_class_embed.{n}']],
  names: {
    'patch-embedding': ['backbone.backbone.embeddings.patch_embeddings.projection'],
    'attention.query': ['encoder.layer.{n}.attention.q_proj', `${decoder}.self_attn.q_proj`],
    'attention.key': ['encoder.layer.{n}.attention.k_proj', `${decoder}.self_attn.k_proj`],
    'attention.value': ['encoder.layer.{n}.attention.v_proj', `${decoder}.self_attn.v_proj`],
    'attention.output': ['encoder.layer.{n}.attention.o_proj', `${decoder}.self_attn.o_proj`],
    ...sampled([`${decoder}.cross_attn`]),
    'mlp.up': ['encoder.layer.{n}.mlp.fc1', `${decoder}.mlp.fc1`, 'encoder.layer.{n}.mlp.up_proj'],
    'mlp.gate': ['encoder.layer.{n}.mlp.gate_proj'],
    'mlp.down': ['encoder.layer.{n}.mlp.fc2', `${decoder}.mlp.fc2`, 'encoder.layer.{n}.mlp.down_proj'],
    neck: [/(?:.*\.)?backbone\.projector\..*/],
    'embedding.query': ['query_feat', 'reference_point_embed'],
    proposals: ['enc_output.{n}', 'enc_out_class_embed.{n}', 'enc_out_bbox_embed.{n}.layers.{n}'],
    references: ['ref_point_head.layers.{n}'],
    classifier: ['class_embed'],
    boxes: ['bbox_embed.layers.{n}'],
    masks: [
      /blocks\.\d+\.(?:depthwise|pointwise)_conv/,
      'spatial_features_proj',
      'query_features_block.mlp.fc1',
      'query_features_block.mlp.fc2',
      'query_features_proj',
    ],
  },
  ...detectorFacts,
  preprocessors: ['RfDetrImageProcessor'],
  stopGradients: rfDetrStops,
});

/** OWL-ViT and OWLv2 as transformers writes them: boxes of a CLIP that are named by texts. */
export const owlvit: DescribedFamily = visionFamily({
  name: 'owlvit',
  title: 'OWL-ViT',
  paper: 'Minderer et al., "Simple Open-Vocabulary Object Detection with Vision Transformers" (2022), arXiv:2205.06230',
  modelTypes: ['owlvit', 'owlv2'],
  signatures: [
    ['^owlvit.vision_model', '^box_head'],
    ['^owlv2.vision_model', '^box_head'],
  ],
  names: {
    embedding: [/owlv(?:it|2)\.(?:text|vision)_model\.embeddings\..*/],
    'attention.query': [`${encoder}.self_attn.q_proj`],
    'attention.key': [`${encoder}.self_attn.k_proj`],
    'attention.value': [`${encoder}.self_attn.v_proj`],
    'attention.output': [`${encoder}.self_attn.out_proj`],
    'mlp.up': [`${encoder}.mlp.fc1`],
    'mlp.down': [`${encoder}.mlp.fc2`],
    projection: ['visual_projection', 'text_projection'],
    classifier: [/class_head\..*/],
    boxes: [/(?:box|objectness)_head\.dense[012]/],
  },
  tasks: detection,
  preprocessors: ['OwlViTImageProcessor', 'Owlv2ImageProcessor'],
});
