"""Reference implementations for *The review you can run*, a course on recurrent networks.

Importing this package loads nothing; import the file you read about:

=======================  ==========================================================
Chapter                  Files
=======================  ==========================================================
Why model sequences      ``ngram`` ``markov`` ``log_linear`` ``hmm`` ``emissions``
                         ``forward_backward`` ``log_space`` ``baum_welch``
                         ``data.bits`` ``data.history``
Neural networks          ``ops`` ``feedforward`` ``optim`` ``gradcheck`` ``train``
                         ``data.digits``
Recurrent networks       ``bptt`` ``rnn`` ``sequence`` ``fast`` ``data.reber``
                         ``data.long_lag``
LSTM and GRU             ``lstm`` ``gru`` ``stacked`` ``data.text``
Bidirectional networks   ``bidirectional`` ``data.phonemes``
Neural Turing machines   ``addressing`` ``heads`` ``ntm`` ``data.algorithmic``
                         ``memory_trace``
Recipes                  ``recipes`` ``files`` ``data.packages`` ``data.wikitext``
For teachers             ``grading``
Every chapter            ``tree`` (nested arrays), ``claims`` (the ledger of tested
                         claims), ``plot`` ``diagrams`` ``slider`` ``timeline`` (figures),
                         ``exercises`` (checks, hints), ``pytorch`` (twins of the
                         same names, weights to and from ``torch.nn``)
=======================  ==========================================================
"""

__version__ = "0.1.0"
