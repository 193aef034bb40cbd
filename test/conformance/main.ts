/** @file `npm run conformance -- FOLDER… [--check NAME] [--json]`: holds case folders against the SDK. */

import { conformanceCommand } from './command.ts';

process.exitCode = await conformanceCommand(process.argv.slice(2), (line) => console.log(line));
