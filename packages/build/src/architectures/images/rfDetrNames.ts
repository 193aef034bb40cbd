/** @file Names of RF-DETR's tensors: modules have those of transformers 5, and published files its authors' own. */

const published: readonly (readonly [recent: RegExp, own: string])[] = [
  [/^(?:model\.)+/, ''],
  [/^backbone\.backbone\./, 'backbone.0.encoder.encoder.'],
  [/\.attention\.q_proj\./, '.attention.attention.query.'],
  [/\.attention\.k_proj\./, '.attention.attention.key.'],
  [/\.attention\.v_proj\./, '.attention.attention.value.'],
  [/\.attention\.o_proj\./, '.attention.output.dense.'],
  [/^backbone\.projector\.layer_norm\./, 'backbone.0.projector.stages.0.1.'],
  [/^backbone\.projector\.projector_layer\./, 'backbone.0.projector.stages.0.0.'],
  [/\.bottlenecks\./, '.m.'],
  [/\.conv([12])\.conv\./, '.cv$1.conv.'],
  [/\.conv([12])\.norm\./, '.cv$1.bn.'],
  [/^(decoder|enc_out)/, 'transformer.$1'],
  [/^(transformer\.decoder\.layers\.\d+)\.self_attn_layer_norm\./, '$1.norm1.'],
  [/^(transformer\.decoder\.layers\.\d+)\.cross_attn_layer_norm\./, '$1.norm2.'],
  [/^(transformer\.decoder\.layers\.\d+)\.layer_norm\./, '$1.norm3.'],
  [/^(transformer\.decoder\.layers\.\d+)\.mlp\.fc/, '$1.linear'],
  [/^transformer\.decoder\.layernorm\./, 'transformer.decoder.norm.'],
  [/\.self_attn\.o_proj\./, '.self_attn.out_proj.'],
  [/^reference_point_embed\./, 'refpoint_embed.'],
  [/^(blocks|spatial_features|query_features)/, 'segmentation_head.$1'],
  [/^segmentation_bias$/, 'segmentation_head.bias'],
  [/^(segmentation_head\.blocks\.\d+)\.layernorm\./, '$1.norm.'],
  [/^(segmentation_head\.blocks\.\d+)\.depthwise_conv\./, '$1.dwconv.'],
  [/^(segmentation_head\.blocks\.\d+)\.pointwise_conv\./, '$1.pwconv1.'],
  [/\.query_features_block\.norm\./, '.query_features_block.norm_in.'],
  [/\.query_features_block\.mlp\.fc1\./, '.query_features_block.layers.0.'],
  [/\.query_features_block\.mlp\.fc2\./, '.query_features_block.layers.2.'],
];

/** The authors' name of a parameter. */
export function publishedName(name: string): string {
  return published.reduce((each, [recent, own]) => each.replace(recent, own), name);
}
