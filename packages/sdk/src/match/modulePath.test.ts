/** @file Module paths from what exporters leave in names and metadata. */

import { describe, expect, test } from 'vitest';
import { pathFromNodeName, pathFromParameter, pathFromScopes } from './modulePath.ts';

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
    ['node_MatMul_27', undefined],
    ['', undefined],
    [undefined, undefined],
  ])('%s', (name, path) => expect(pathFromNodeName(name)).toBe(path)); // prettier-ignore
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
  expect(pathFromParameter('classifier.bias', 'weight')).toBeUndefined();
  expect(pathFromParameter('onnx::MatMul_293', 'weight')).toBeUndefined();
  expect(pathFromParameter('/layer/a.weight', 'weight')).toBeUndefined();
  expect(pathFromParameter('val_28', 'weight')).toBeUndefined();
});
