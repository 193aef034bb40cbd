/**
 * @file Writes the model types and tasks of each plugin that comes with the command into its package.json, as `onnxLora`. The
 * command reads these lists to choose plugins before it loads any. `npm run build` ends with this.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { loadPlugins } from '@onnx-lora/sdk';

const read = (file) => JSON.parse(readFileSync(file, 'utf8'));
const { dependencies } = read(path.join(import.meta.dirname, 'package.json'));

for (const name of Object.keys(dependencies).filter((each) => each.startsWith('@onnx-lora/'))) {
  const plugin = Object.values(await import(name)).find((each) => each?.contract !== undefined && each.parts);
  const { families, tasks } = loadPlugins(plugin ? [plugin] : []);
  if (families.length + tasks.length === 0) continue;
  const file = path.join(import.meta.dirname, '..', name.replace('@onnx-lora/', ''), 'package.json');
  const onnxLora = {
    modelTypes: [...new Set(families.flatMap(({ modelTypes }) => modelTypes))],
    tasks: tasks.map((task) => task.name),
  };
  const text = `${JSON.stringify({ ...read(file), onnxLora }, null, 2)}\n`;
  // A file that is the same keeps its time, by which tools see that nothing changed.
  if (text !== readFileSync(file, 'utf8')) writeFileSync(file, text);
}
