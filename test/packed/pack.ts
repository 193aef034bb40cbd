/**
 * @file `npm run pack -- FOLDER`: the packages as they will be published, as files to install in a project of one's own.
 * They are not on npm yet.
 */

import path from 'node:path';
import { packAll, type Tarball } from './tarballs.ts';

const [given, ...more] = process.argv.slice(2);
if (given === undefined || more.length > 0) {
  console.error('Name one folder for the packages: npm run pack -- ../my-project/packages');
  process.exitCode = 2;
} else {
  // npm runs scripts in the folder of the package, wherever one stands.
  const folder = path.resolve(process.env['INIT_CWD'] ?? '.', given);
  const packed = packAll(folder);
  console.log(`
In your project:

  ${installLine(packed)}

That leaves ONNX Runtime's CUDA libraries out; docs/guides/providers.md says who wants them.`);
}

/** Command that installs the packages, except for the generator of plugins, which runs from the clone. */
function installLine(packed: readonly Tarball[]): string {
  const files = packed.filter(({ name }) => name !== 'create-onnx-lora-plugin').map(({ file }) => file);
  return ['npm install --ignore-scripts', ...files.map(quoted)].join(' ');
}

function quoted(file: string): string {
  return /^[\w@:/\\.-]+$/.test(file) ? file : JSON.stringify(file);
}
