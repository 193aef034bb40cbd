/**
 * @file Stands in for an unknown .onnx file: a digit reader as a converter might hand it over that numbers all
 * nodes and tensors, drops the metadata, and puts the application's last steps into the graph.
 */

import { openOnnx, writeOnnx } from '@onnx-lora/sdk/plugin';

const FLOAT = 1;
const INT64 = 7;

/**
 * Writes a model without names. Its output is the probabilities of its classes, and the number of the likeliest.
 *
 * @param source an .onnx file with the output `logits`, `[batch, classes]`
 */
export function writeAnonymous(source: string, target: string): void {
  const { model } = openOnnx(source);
  const { graph } = model;
  const names = new Map<string, string>();
  const renamed = (name: string): string => {
    if (name === '') return name;
    const number = names.get(name) ?? `t${names.size}`;
    names.set(name, number);
    return number;
  };
  const input = (graph.input ?? []).map((port) => ({ ...port, name: renamed(port.name!) }));
  const initializer = (graph.initializer ?? []).map((each) => ({ ...each, name: renamed(each.name!) }));
  const node = (graph.node ?? []).map(({ opType, attribute = [], ...each }, i) => ({
    opType: opType!,
    attribute,
    name: `n${i}`,
    input: (each.input ?? []).map(renamed),
    output: (each.output ?? []).map(renamed),
  }));
  const logits = renamed('logits');
  const axis = (value: number): object => ({ name: 'axis', type: 2, i: value });
  const last = [
    { opType: 'Softmax', name: `n${node.length}`, input: [logits], output: ['probabilities'], attribute: [axis(-1)] },
    {
      opType: 'ArgMax',
      name: `n${node.length + 1}`,
      input: ['probabilities'],
      output: ['class'],
      attribute: [axis(-1), { name: 'keepdims', type: 2, i: 0 }],
    },
  ];
  const port = (name: string, elemType: number, dims: object[]): object => ({
    name,
    type: { tensorType: { elemType, shape: { dim: dims } } },
  });
  const batch = { dimParam: 'batch' };
  writeOnnx(target, {
    irVersion: model.irVersion!,
    opsetImport: model.opsetImport!,
    graph: {
      name: 'g',
      input,
      initializer,
      node: [...node, ...last],
      output: [port('probabilities', FLOAT, [batch, { dimValue: 10 }]), port('class', INT64, [batch])],
    },
  });
}
