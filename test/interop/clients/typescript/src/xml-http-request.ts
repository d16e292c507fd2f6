/** The grpc-web client needs the browser's XMLHttpRequest. Node has none; in a page this file is not needed. */
import XMLHttpRequest from 'xhr2';

Object.assign(globalThis, { XMLHttpRequest });
