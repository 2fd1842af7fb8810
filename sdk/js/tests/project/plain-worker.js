import { connect } from "./node_modules/readywire/dist/index.js";
import { answerPage } from "./scenario.js";

answerPage(connect);
