"""Reference implementations for *The review you can run*, a course on recurrent networks.

Importing this package loads nothing; import the file you read about:

=====================  ==========================================================
Chapter                Files
=====================  ==========================================================
Neural networks        ``ops`` ``feedforward`` ``optim`` ``gradcheck`` ``train``
                       ``data.digits``, their PyTorch twin ``pytorch.feedforward``
Every chapter          ``tree`` (nested arrays), ``claims`` (the ledger of tested
                       claims), ``plot`` (figures), ``exercises`` (checks, hints)
=====================  ==========================================================
"""

__version__ = "0.1.0"
