/** @file Detectors learn as in transformers and PEFT: losses, matched pairs, edges without a gradient. */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { openModel } from '@onnx-lora/sdk';
import { readSafetensors } from '@onnx-lora/sdk/data';
import { checkNames, conformance } from '@onnx-lora/testing';
import { visionPlugin } from '@onnx-lora/vision';
import { describe, expect, it } from 'vitest';
import { isNightly } from '../support/nightly.ts';
import { detectionLosses } from './detectionLosses.ts';
import { matchedPairs } from '../support/matchedPairs.ts';

const own = path.join(import.meta.dirname, '../fixtures/detection');
const oracle = path.join(import.meta.dirname, '../../../shared/oracle/detection/cases');
const folderOf = (name: string): string => path.join(existsSync(path.join(own, name)) ? own : oracle, name);
const names = [...new Set([own, oracle].flatMap((folder) => (existsSync(folder) ? readdirSync(folder) : [])))].filter(
  (name) => existsSync(path.join(folderOf(name), 'case.json')),
);

interface Edge {
  readonly node: string;
  readonly tensor: string;
}

describe.each(names)('%s', (name) => {
  const folder = folderOf(name);
  const description = JSON.parse(readFileSync(path.join(folder, 'case.json'), 'utf8')) as { stopGradient: Edge[] };

  it.skipIf(folder.startsWith(oracle) && !isNightly)('passes all checks', async () => {
    const { checks } = await conformance(folder, { plugins: [visionPlugin], losses: detectionLosses });
    expect(checks.map(({ check, status, detail }) => [check, status, status === 'passed' ? '' : detail])).toEqual(
      checkNames.map((check) => [check, 'passed', '']),
    );
  });

  it('matches the queries that scipy matches', async () => {
    const { tensors } = await readSafetensors(path.join(folder, 'expected.safetensors'));
    const expected = [...tensors]
      .filter(([key]) => key.startsWith('lora.match.') && key.endsWith('.query'))
      .map(([key, { data }]) => {
        const targets = tensors.get(key.replace(/query$/, 'target'))!.data;
        return [
          key.slice('lora.match.'.length, -'.query'.length),
          Array.from(data, String).map((query, i) => `${query}-${targets[i]}`),
        ];
      });
    expect(expected.length).toBeGreaterThan(0);
    expect(await matchedPairs(folder)).toEqual(Object.fromEntries(expected));
  });

  it('stops gradients where torch does', async () => {
    const model = await openModel(path.join(folder, 'model.onnx'), { plugins: [visionPlugin] });
    const nodes = new Map(model.onnx.model.graph.node!.map(({ name: node, output }) => [node, output![0]!]));
    // The loss itself stops gradients of D-FINE's references, which only an output reads.
    const outputs = new Set(Object.keys(model.outputs));
    const readers = new Map(model.onnx.model.graph.node!.flatMap((node) => node.input!.map((input) => [input, node])));
    const isOutputs = (value: string): boolean => {
      const reader = readers.get(value);
      return (
        outputs.has(value) || (/^(Unsqueeze|Concat)$/.test(reader?.opType ?? '') && isOutputs(reader!.output![0]!))
      );
    };
    const expected = description.stopGradient
      .map(({ node, tensor }) => ({ value: tensor, reader: nodes.get(node)! }))
      .filter(({ reader }) => !isOutputs(reader));
    const asText = (edges: readonly { value: string; reader: string }[]): string[] => edges.map(({ value, reader }) => `${value} → ${reader}`).sort(); // prettier-ignore
    expect(asText(model.stoppedEdges().filter(({ reader }) => !isOutputs(reader)))).toEqual(asText(expected));
  });
});
