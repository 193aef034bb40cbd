/** @file Module paths from what exporters leave in names and metadata. */

import { describe, expect, test } from 'vitest';
import { uncountedPaths } from './completePaths.ts';
import {
  confidenceOf,
  isCalledByOperator,
  pathFromNodeName,
  pathFromParameter,
  pathFromScopes,
  pathFromTensorName,
  pathFromValueName,
  scopeOf,
  shortName,
} from './modulePath.ts';

describe('node names of the TorchScript exporter', () => {
  test.each([
    ['/vit/encoder/layer.0/attention/attention/query/MatMul', 'vit.encoder.layer.0.attention.attention.query'],
    ['/classifier/Gemm', 'classifier'],
    // A Sequential that is called repeats its name in front of its child's.
    ['/classifier/classifier.1/Gemm', 'classifier.1'],
    ['/blocks/blocks.0/attn/qkv/MatMul', 'blocks.0.attn.qkv'],
    ['/resnet/encoder/stages.0/layers.0/layer/layer.1/convolution/Conv', 'resnet.encoder.stages.0.layers.0.layer.1.convolution'],
    // The same word twice, but not a Sequential's child.
    ['/attention/attention/query/MatMul', 'attention.attention.query'],
    ['/layer/layers.0/fc/MatMul', 'layer.layers.0.fc'],
    ['/layer/layer.norm/MatMul', 'layer.layer.norm'],
    // A node of the model itself, a name that was numbered, names of other exporters.
    ['/MatMul', undefined],
    ['/fc1/MatMul_1', 'fc1'],
    // Suffixes of optimizers and quantizers, and names without the first slash.
    ['/fc1/MatMul_quant', 'fc1'],
    ['/fc1/MatMul/MatMulAddFusion', 'fc1'],
    ['fc1/MatMul_Q4', 'fc1'],
    ['fc1/something', undefined],
    ['/attn/Conv_/fc/Gemm_4', 'attn.Conv_.fc'],
    ['node_MatMul_27', undefined],
    ['', undefined],
    [undefined, undefined],
  ])('%s', (name, path) => expect(pathFromNodeName(name)).toBe(path)); // prettier-ignore
});

describe('scopes of TensorFlow and Keras, which have no slash in front', () => {
  test.each([
    ['Conv_0/Conv2D', 'Conv_0'],
    ['StatefulPartitionedCall/MobilenetV2/Conv_1/Conv2D', 'MobilenetV2.Conv_1'],
    ['StatefulPartitionedCall/StatefulPartitionedCall_1/model/dense_1/MatMul__45', 'model.dense_1'],
    ['model/expanded_conv/depthwise/depthwise', 'model.expanded_conv.depthwise'],
    ['model/block_1/depthwise_conv2d/DepthwiseConv2dNative', 'model.block_1.depthwise_conv2d'],
    ['encoder/dense/Tensordot/MatMul', 'encoder.dense'],
    ['decoder/conv2d_transpose/Conv2DBackpropInput', 'decoder.conv2d_transpose'],
    ['model/embedding/embedding_lookup', 'model.embedding'],
    ['model/dense/Softmax', undefined],
  ])('%s', (name, path) => expect(pathFromNodeName(name)).toBe(path)); // prettier-ignore
});

test('names of tensors that say which layer it is', () => {
  const named = ['coefficient', 'coefficient1', 'dense_1/kernel:0', 'conv2d_0.w_0', 'block/fc.W', 'fc1_weight', 'W1', 'Conv_0/weights_quantized']; // prettier-ignore
  expect(named.map(pathFromTensorName)).toEqual(['coefficient', 'coefficient1', 'dense_1', 'conv2d_0', 'block.fc', 'fc1', 'W1', 'Conv_0']); // prettier-ignore
  const anonymous = ['391', '391_quantized', 'onnx::MatMul_293', 'val_49', 'const_fold_opt__12', '/Constant_output_0', 'Constant_3', 'weight', 'W', '']; // prettier-ignore
  expect(anonymous.map(pathFromTensorName)).toEqual(anonymous.map(() => undefined));
});

test('nodes that are called by their operators', () => {
  const names = ['', 'MatMul', 'MatMul1', 'MatMul_12', 'node_MatMul_4', 'p2o.MatMul.7'];
  expect(names.filter((name) => !isCalledByOperator({ name, opType: 'MatMul' }))).toEqual([]);
  expect(['fc1', 'fc1/MatMul', 'Gemm_3', 'MatMul_quant'].filter((name) => isCalledByOperator({ name, opType: 'MatMul' }))).toEqual([]); // prettier-ignore
});

describe('name scopes of the dynamo exporter', () => {
  const path = (value: string): string | undefined =>
    pathFromScopes({
      metadataProps: [
        { key: 'other', value: "['no', 'no']" },
        { key: 'pkg.torch.onnx.name_scopes', value },
      ],
    });
  test.each([
    ["['', 'vit', 'vit.layers.0', 'vit.layers.0.mlp.fc1', 'linear_3']", 'vit.layers.0.mlp.fc1'],
    ['["", "fc", "linear"]', 'fc'],
    ["['', 'it\\'s', 'linear']", "it\\'s"],
    ["['', 'linear_3']", undefined],
    ["['linear_3']", undefined],
    ["['_empty_nn_module_stack_from_metadata_hook', 'val_1']", undefined],
    ['[]', undefined],
    ['', undefined],
    ["['unfinished, 'a", undefined],
  ])('%s', (literal, expected) => expect(path(literal)).toBe(expected)); // prettier-ignore
  test('absent', () => expect(pathFromScopes({})).toBeUndefined());
  test('a long hostile literal takes no time', () => {
    const start = performance.now();
    path(`['${'\\'.repeat(100_001)}`);
    path("'".repeat(100_001));
    expect(performance.now() - start).toBeLessThan(1000);
  });
});

test('parameter names', () => {
  expect(pathFromParameter('classifier.weight', 'weight')).toBe('classifier');
  expect(pathFromParameter('classifier.MatMul.weight', 'weight')).toBe('classifier');
  expect(pathFromParameter('model.layers.1.attn.o_proj.MatMul.weight_Q4', 'weight')).toBe(
    'model.layers.1.self_attn.o_proj',
  );
  expect(pathFromParameter('model.layers.1.attn.o_proj.weight', 'weight')).toBe('model.layers.1.attn.o_proj');
  expect(pathFromParameter('classifier.bias', 'weight')).toBeUndefined();
  expect(pathFromParameter('onnx::MatMul_293', 'weight')).toBeUndefined();
  expect(pathFromParameter('/layer/a.weight', 'weight')).toBeUndefined();
  expect(pathFromParameter('val_28', 'weight')).toBeUndefined();
});

test('parameter names that optimizers and quantizers have appended to', () => {
  for (const name of [
    'fc.weight_quantized',
    'fc.weight_merged_0',
    'fc.weight_Q4',
    'fc.weight_fp16',
    'fc.weight_transposed',
    'fc.weight_DequantizeLinear',
    'fc.weight_transposed_quantized',
  ])
    // prettier-ignore
    expect(pathFromParameter(name, 'weight'), name).toBe('fc');
  expect(pathFromParameter('fc.weight_g', 'weight')).toBeUndefined();
});

test('names of values', () => {
  expect(pathFromValueName('/layer.0/attention/Reshape_3_output_0')).toBe('layer.0.attention');
  expect(pathFromValueName('/layer/layer.0/Add_output_0')).toBe('layer.0');
  expect(pathFromValueName('/Add_output_0')).toBeUndefined();
  expect(pathFromValueName('logits')).toBeUndefined();
});

test('the scope of a node of any kind', () => {
  expect(scopeOf({ name: '/layer.0/norm/Mul' })).toBe('layer.0.norm');
  expect(scopeOf({ name: 'node_mul_3' })).toBeUndefined();
  const metadataProps = [{ key: 'pkg.torch.onnx.name_scopes', value: "['', 'a', 'a.b', 'mul']" }];
  expect(scopeOf({ name: '/other/Mul', metadataProps })).toBe('a.b');
});

test('paths that numbered calls may stand for', () => {
  expect(uncountedPaths('attention.query_1')).toEqual(['attention.query']);
  expect(new Set(uncountedPaths('attention_1.query_2'))).toEqual(
    new Set(['attention.query_2', 'attention_1.query', 'attention.query']),
  );
  expect(uncountedPaths('attention.query')).toEqual([]);
});

test('how sure a path is', () => {
  const sources = ['name-scopes', 'node-name', 'weight-name', 'bias-name', 'scope-name', 'output-name', 'structure', 'tensor-name', 'value-name'] as const; // prettier-ignore
  expect(sources.map(confidenceOf)).toEqual(['certain', 'certain', 'certain', 'likely', 'likely', 'likely', 'likely', 'unknown', 'unknown']); // prettier-ignore
});

describe('names that are no paths', () => {
  test.each([
    ['onnx::MatMul_1_merged_0_quantized', undefined],
    ['a.weight_merged_12_quantized', 'a'],
    ['a.weight_Q4G128_fp16', 'a'],
    ['a_Q4.weight_fp16_transposed', 'a_Q4'],
    // Tried in every way that it can be split, it would take longer than the sun has.
    [`a${'_Q4'.repeat(300)}!`, undefined],
    [`${'a.'.repeat(10_000)}weight`, undefined],
  ])('%.40s', (name, path) => expect(pathFromParameter(name, 'weight')).toBe(path));

  test('of any length are cut short, those of all sources', () => {
    const long = `/${'a/'.repeat(10_000)}`;
    expect(pathFromNodeName(`${long}MatMul`)).toBeUndefined();
    expect(pathFromValueName(`${long}Add_output_0`)).toBeUndefined();
    expect(scopeOf({ name: `${long}Mul` })).toBeUndefined();
    const scopes = (value: string): string | undefined =>
      pathFromScopes({ metadataProps: [{ key: 'pkg.torch.onnx.name_scopes', value }] });
    expect(scopes(`['', '${'a.'.repeat(10_000)}b', 'linear']`)).toBeUndefined();
    expect(scopes(`['', '${'a.'.repeat(400)}b', 'linear']`)).toHaveLength(801);
    expect(shortName(long)).toHaveLength(921);
    expect(shortName('/x')).toBe('/x');
  });
});
