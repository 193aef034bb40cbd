/** @file Stands in for what a team already has: a pre-trained model in a folder, and readings of its sensors. */

import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { float32 } from '@onnx-lora/sdk';
import {
  GraphBuilder,
  inferNode,
  type ModelProto,
  Random,
  tensorProto,
  type Value,
  writeOnnx,
} from '@onnx-lora/sdk/core';

const LENGTH = 16;
const HIDDEN = 32;
const FLOAT = 1;

/** Writes `config.json`, `preprocessor_config.json` and `onnx/model.onnx`. */
export async function publishModel(folder: string): Promise<void> {
  await mkdir(path.join(folder, 'onnx'), { recursive: true });
  await writeFile(path.join(folder, 'config.json'), JSON.stringify({ model_type: 'forecaster' }));
  const preprocessor = { processor_class: 'SeriesProcessor', length: LENGTH, mean: 20, std: 5 };
  await writeFile(path.join(folder, 'preprocessor_config.json'), JSON.stringify(preprocessor));
  writeOnnx(path.join(folder, 'onnx/model.onnx'), forecasterModel());
}

/** `forecast` `[batch, 1]` = the last of `readings` `[batch, 16]` + head(tanh(encoder.1(tanh(encoder.0(readings))))). */
function forecasterModel(): ModelProto {
  const g = new GraphBuilder({ opset: 17, infer: inferNode, prefix: 'forecaster/' });
  const random = new Random(1);
  const weight = (name: string, dims: number[], scale: number): Value => {
    const data = Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, () => random.uniform(-scale, scale));
    g.initializers.push(tensorProto(name, float32(data, dims)));
    return { name, type: 'float32', shape: dims };
  };
  const linear = (x: Value, name: string, width: number, out: number, scale = 1 / Math.sqrt(width)): Value =>
    g.Gemm(x, weight(`${name}.weight`, [out, width], scale), weight(`${name}.bias`, [out], scale), { transB: true });

  const readings: Value = { name: 'readings', type: 'float32', shape: ['batch', LENGTH] };
  const hidden = g.Tanh(linear(g.Tanh(linear(readings, 'encoder.0', LENGTH, HIDDEN)), 'encoder.1', HIDDEN, HIDDEN));
  // It knows nothing but that the next reading will be about the last one.
  const change = linear(hidden, 'head', HIDDEN, 1, 0.01);
  const forecast = g.Add(g.Slice(readings, [LENGTH - 1], [LENGTH], [1]), change);
  const port = ({ name, shape = [] }: Value, rename = name): object => ({
    name: rename,
    type: {
      tensorType: {
        elemType: FLOAT,
        shape: { dim: shape.map((dim) => (typeof dim === 'number' ? { dimValue: dim } : { dimParam: dim })) },
      },
    },
  });
  g.nodes.at(-1)!.output = ['forecast'];
  return {
    irVersion: 8,
    opsetImport: [{ domain: '', version: 17 }],
    graph: {
      name: 'forecaster',
      node: g.nodes,
      initializer: g.initializers,
      input: [port(readings)],
      output: [port(forecast, 'forecast')],
    },
  };
}

/** Writes readings that swing with a period, in a file with one in each line. */
export async function writeSensor(file: string, period: number, seed: number): Promise<void> {
  const random = new Random(seed);
  const readings = Array.from({ length: 800 }, (_, i) =>
    (20 + 6 * Math.sin((2 * Math.PI * i) / period) + random.uniform(-0.5, 0.5)).toFixed(2),
  );
  await writeFile(file, `${readings.join('\n')}\n`);
}
