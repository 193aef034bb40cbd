/** @file `npm run example`: writes a model and data to try the command line with. */

import { writeData, writeModel } from './files.ts';

console.log(`model  ${await writeModel('example/model')}`);
console.log(`data   ${await writeData('example', 64)}`);
